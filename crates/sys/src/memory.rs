//! The allocator of the C library.

/// Gives free memory back to the system: for programs that use the C library's allocator.
pub fn trim() {
    // SAFETY: `malloc_trim` takes no pointer and may be called at any time from any thread.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
