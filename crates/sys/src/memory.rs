//! Giving free memory back to the system.

/// Gives free memory back to the system: for programs that use the C library's allocator.
pub fn trim() {
    // SAFETY: `malloc_trim` takes no pointer and may be called at any time from any thread.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives this thread's free memory back to the system: for programs whose allocator is mimalloc.
#[cfg(feature = "mimalloc")]
pub fn collect_mimalloc() {
    // SAFETY: `mi_collect` takes no pointer and may be called at any time from any thread.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

/// Turns transparent huge pages off for this process and what it starts. A heap that is small at
/// rest would otherwise be held in steps of 2 MiB.
pub fn disable_huge_pages() {
    // SAFETY: this prctl takes numbers only; a kernel that does not know it changes nothing.
    unsafe {
        libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0);
    }
}
