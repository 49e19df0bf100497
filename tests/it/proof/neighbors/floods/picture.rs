//! A picture of a given size in bytes: PNG without compression, as nothing else makes so large files so quickly.

/// The most bytes of one stored block of deflate.
const BLOCK_MAX: usize = 65_535;

/// A gray square as PNG, of about three times `side * side` bytes.
pub fn png(side: u32) -> Vec<u8> {
    let row = 1 + 3 * side as usize;
    let mut pixels = vec![0x7f; row * side as usize];
    // Each row begins with its filter: none.
    pixels
        .iter_mut()
        .step_by(row)
        .for_each(|filter| *filter = 0);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let size = side.to_be_bytes();
    chunk(
        &mut file,
        *b"IHDR",
        &[&size[..], &size, &[8, 2, 0, 0, 0]].concat(),
    );
    chunk(&mut file, *b"IDAT", &stored(&pixels));
    chunk(&mut file, *b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).expect("a small picture");
    file.extend(length.to_be_bytes());
    let start = file.len();
    file.extend(kind);
    file.extend(data);
    let sum = crc(&file[start..]);
    file.extend(sum.to_be_bytes());
}

/// A zlib stream that only says what follows.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(BLOCK_MAX).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("a block");
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler(data).to_be_bytes());
    stream
}

fn crc(data: &[u8]) -> u32 {
    let of_byte = |byte: u32| {
        (0..8).fold(byte, |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    };
    let table: Vec<u32> = (0..256).map(of_byte).collect();
    let step = |sum: u32, byte: &u8| table[(sum.to_le_bytes()[0] ^ byte) as usize] ^ (sum >> 8);
    !data.iter().fold(!0, step)
}

fn adler(data: &[u8]) -> u32 {
    let step = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    };
    let (a, b) = data.iter().fold((1, 0), step);
    b << 16 | a
}
