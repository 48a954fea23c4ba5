//! Freed memory goes back to the system although nothing happens any more.
//!
//! Owns: one switch of the allocator. jemalloc looks at pages that are due when something is
//! allocated or freed; after a burst of clients nothing is, and their buffers would stay. Must run
//! after the forks of `-d`: it makes threads.

/// Lets the allocator's own threads purge what was freed some seconds ago; they sleep otherwise.
/// Elsewhere than on Linux with glibc the system's allocator is used, and nothing happens.
pub fn give_back_in_background() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let mut on = true;
        // SAFETY: `background_thread` takes a bool of C, which has Rust's size and values; the name
        // ends with NUL, and both outlive the call.
        let refused = unsafe {
            tikv_jemalloc_sys::mallctl(
                c"background_thread".as_ptr(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                (&raw mut on).cast(),
                size_of::<bool>(),
            )
        };
        if refused != 0 {
            log::debug!("freed memory is given back late: mallctl says {refused}");
        }
    }
}
