//! The same requests to nginx and to Stead, pipelined, and both answers side by side.

use crate::answer::Answer;
use crate::client::{Connection, head};

/// A connection to each.
pub struct Pair {
    nginx_port: u16,
    nginx: Connection,
    stead: Connection,
}

/// One request, as it is sent to both; field values may differ.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: &'static str,
    /// The request target.
    pub target: String,
    /// Fields for nginx.
    pub nginx: Vec<(&'static str, String)>,
    /// Fields for Stead.
    pub stead: Vec<(&'static str, String)>,
}

impl Question {
    /// The same plain request to both.
    pub fn plain(method: &'static str, target: String) -> Self {
        Self { method, target, nginx: Vec::new(), stead: Vec::new() }
    }

    fn bytes(&self, fields: &[(&'static str, String)]) -> String {
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        head(self.method, &self.target, &fields)
    }
}

impl Pair {
    /// A connection to each port.
    pub fn open(nginx: u16, stead: u16) -> Self {
        Self { nginx_port: nginx, nginx: Connection::open(nginx), stead: Connection::open(stead) }
    }

    /// Sends all questions at once, then reads the answers of nginx and of Stead. The requests
    /// together must fit into a socket's buffer.
    pub fn ask(&mut self, questions: &[Question]) -> Vec<(Answer, Answer)> {
        let bytes: String =
            questions.iter().map(|question| question.bytes(&question.stead)).collect();
        self.stead.send(bytes);
        let nginx = self.ask_nginx(questions);
        let stead = questions.iter().map(|question| {
            let answer = self.stead.try_answer(question.method);
            answer.unwrap_or_else(|error| panic!("Stead: {error} after {question:?}"))
        });
        nginx.into_iter().zip(stead).collect()
    }

    /// nginx ends the connection after some errors (412), and the requests behind them with it.
    fn ask_nginx(&mut self, questions: &[Question]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = Vec::new();
        while answers.len() < questions.len() {
            let rest = &questions[answers.len()..];
            let bytes: String =
                rest.iter().map(|question| question.bytes(&question.nginx)).collect();
            // Where it has ended already, reading says so.
            let _ = self.nginx.try_send(bytes);
            let before = answers.len();
            let read =
                rest.iter().map_while(|question| self.nginx.try_answer(question.method).ok());
            answers.extend(read);
            if answers.len() < questions.len() {
                assert!(before < answers.len() || before == 0, "nginx: {:?}", rest[0]);
                self.nginx = Connection::open(self.nginx_port);
            }
        }
        answers
    }
}
