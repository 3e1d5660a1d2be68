// The Go peer: net/http as its documentation shows it, GOMAXPROCS=1 set by the bench.
//
// "/" answers the same 13 bytes as the other servers, other paths are files below the root.
// Arguments: port, root.
package main

import (
	"log"
	"net/http"
	"os"
)

var hello = []byte("Hello, World!")

func main() {
	files := http.FileServer(http.Dir(os.Args[2]))
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/plain")
			w.Write(hello)
			return
		}
		files.ServeHTTP(w, r)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
