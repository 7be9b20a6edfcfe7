//! What a process that mostly waits holds in memory.

use std::ffi::{c_int, c_void};

/// Lets go of the pages of this program's code and constants. They are the file's, and the kernel
/// maps again, one by one, what is used next; what only the start needed stays out. Where it cannot
/// be done it is left.
pub fn forget_code() {
    // SAFETY: the callback has the signature that is asked for, and is given no data.
    #[expect(unsafe_code, reason = "only the C library knows where the program was mapped")]
    unsafe {
        libc::dl_iterate_phdr(Some(forget_segments), std::ptr::null_mut());
    }
}

/// Called for the program itself, which comes first, and told to stop there.
#[expect(unsafe_code, reason = "called by the C library, with its own records")]
unsafe extern "C" fn forget_segments(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut c_void,
) -> c_int {
    // SAFETY: the C library passes a valid record, which lives as long as the call.
    let (base, segments) = unsafe {
        let info = &*info;
        let count = usize::from(info.dlpi_phnum);
        (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, count))
    };
    // SAFETY: it has no conditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let Ok(page) = usize::try_from(page) else { return 1 };
    for segment in segments.iter().filter(|s| is_the_files(s.p_type, s.p_flags)) {
        let range = usize::try_from(base.wrapping_add(segment.p_vaddr)).ok();
        let length = usize::try_from(segment.p_filesz).ok();
        let Some((start, end)) = range.zip(length).map(|(at, n)| pages(at, n, page)) else {
            continue;
        };
        // SAFETY: these are whole pages of a private mapping of the program's file that is not
        // writable, and as relocations go into writable segments alone, never was: what comes
        // back is what was there. If the call fails, nothing has changed.
        let _ = unsafe {
            libc::madvise(
                std::ptr::with_exposed_provenance_mut(start),
                end - start,
                libc::MADV_DONTNEED,
            )
        };
    }
    1
}

/// Whether a segment is loaded from the file, and can only be read or executed.
fn is_the_files(kind: u32, flags: u32) -> bool {
    kind == libc::PT_LOAD && flags & libc::PF_W == 0
}

/// The whole pages in a range.
fn pages(start: usize, length: usize, page: usize) -> (usize, usize) {
    let first = start.next_multiple_of(page);
    let end = (start + length) / page * page;
    (first, end.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_written_is_let_go() {
        assert!(is_the_files(libc::PT_LOAD, libc::PF_R | libc::PF_X));
        assert!(!is_the_files(libc::PT_LOAD, libc::PF_R | libc::PF_W));
        assert!(!is_the_files(libc::PT_DYNAMIC, libc::PF_R));
    }

    #[test]
    fn pages_are_whole() {
        assert_eq!(pages(4096, 8192, 4096), (4096, 12288));
        assert_eq!(pages(4097, 8192, 4096), (8192, 12288));
        assert_eq!(pages(4097, 100, 4096), (8192, 8192));
    }

    #[test]
    fn a_program_goes_on_without_it() {
        for _ in 0..3 {
            forget_code();
            assert_eq!(format!("{:?}", vec![1, 2]), "[1, 2]");
        }
    }
}
