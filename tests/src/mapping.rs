//! A shared mapping of a file: the one place of the tests with `unsafe`.

#![allow(unsafe_code)]

use std::fs::File;

use memmap2::{MmapMut, MmapOptions};

/// See the module. May reach beyond the end of the file.
pub struct Mapping(MmapMut);

impl Mapping {
    /// Maps the first `length` bytes for reading and writing.
    pub fn new(file: &File, length: usize) -> Mapping {
        // SAFETY: memory that others change is what the tests look at, through volatile-free copies made
        // by `read` and `write` alone; they stay below the end of the file, which nobody moves meanwhile.
        let mapping = unsafe { MmapOptions::new().len(length).map_mut(file) };
        Mapping(mapping.expect("the file can be mapped"))
    }

    /// Copies out what is mapped; the file must reach so far.
    pub fn read(&self, at: usize, length: usize) -> Vec<u8> {
        self.0[at..at + length].to_vec()
    }

    /// Stores into the mapping and writes it back (`msync(MS_SYNC)`).
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self.0.flush_range(at, bytes.len()).expect("written back");
    }
}
