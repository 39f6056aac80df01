//! Changes of an input: small ones, as wear and bugs make them, and hostile numbers.

use wolfdisk_tests::Random;

/// Numbers at which arithmetic goes wrong.
const NUMBERS: [u64; 12] = [
    0,
    1,
    7,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fff8,
    u64::MAX,
];

/// A place in `0..=length`.
fn place(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.below(length as u64 + 1)).expect("a place in memory")
}

/// A copy of one of `pool`, changed in one to four ways, and no longer than `length_max`.
pub fn mutant(random: &mut Random, pool: &[Vec<u8>], length_max: usize) -> Vec<u8> {
    let mut input = pool[place(random, pool.len() - 1)].clone();
    for _ in 0..=random.below(4) {
        let other = &pool[place(random, pool.len() - 1)];
        change(random, &mut input, other);
    }
    input.truncate(length_max);
    input
}

fn change(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let at = place(random, input.len());
    let end = (at + place(random, 16)).min(input.len());
    match random.below(9) {
        0 => {
            let old = input.get(at).copied().unwrap_or(0);
            overwrite(input, at, &[old ^ (1 << random.below(8))]);
        }
        1 => {
            let byte = random.bytes(1);
            overwrite(input, at, &byte);
        }
        2..=4 => {
            let mut number = NUMBERS[place(random, NUMBERS.len() - 1)].to_le_bytes();
            if random.below(3) == 0 {
                number.reverse();
            }
            let width = [1, 2, 4, 8][place(random, 3)];
            // Fields of fixed formats stand at even places.
            let at = if random.below(2) == 0 { at / 4 * 4 } else { at };
            overwrite(input, at, &number[..width]);
        }
        5 => drop(input.drain(at..end)),
        6 => input.truncate(at),
        7 => {
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        _ => {
            let from = place(random, other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    let rest = input.get_mut(at..).unwrap_or_default();
    rest.iter_mut()
        .zip(bytes)
        .for_each(|(old, new)| *old = *new);
}
