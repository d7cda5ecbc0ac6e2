/// Encryption at rest: pages and log blocks between memory and the disk, and the keys for that.
///
/// **How it works.** The pure targets make and check plain bytes, with their own checksums; they keep the last 32 bytes of each
/// page and block zero, and a field of its header. On the way to the disk `Sealer.seal` encrypts what lies between header and
/// tail, AES-256-GCM, and fills both; on the way back `Sealer.open` decrypts and makes them zero again. Where the field is
/// zero a page or block is plain, so encrypted and plain ones may stand in one file, and encryption is switched on, off and
/// over by a restart.
///
///     header, plain, with the key's id; authenticated │ encrypted              │ start nonce 16 │ tag 16
///
/// **Keys.** The master key comes from a file of the operator's (`MasterKeys`). It wraps the *data keys*, which are random and
/// stand in the directory's file `keys` (`KeyTable`). A page or block is encrypted with neither: its key is
/// HKDF(data key, salt: start nonce, info: purpose and lane). The start nonce is 128 random bits that a process draws once, and
/// that stand in the tail, so that nothing else must be kept to read old pages.
///
/// **Why no nonce repeats under a key.** GCM's nonce is what tells the writes of one start apart: page id and birth epoch (a page
/// is written once in an epoch), or a block's sequence (never given twice). What repeats them, a crash before the superblock was
/// durable, a recycled segment, an old copy of the directory or a clone of it, is another start with another start nonce, so
/// another key.
///
/// **Invariants.**
/// - What `open` gives was sealed under this table's keys at this place: id, epoch and sequence stand in the header, which is
///   authenticated, and the readers compare them with the pointer or chain that led there.
/// - After encryption was switched on nothing younger is taken when it is plain (`KeyTable.plainEpoch`, `plainSequence`).
/// - Contexts are made once for a key and reused; a page or block costs no allocation.
///
/// **What it does not do.** It reads no files and knows neither pages nor blocks, only where header and tail are (`SealedForm`).
/// It does not hide how much there is, nor the headers: ids, epochs, sequences, counts, and the CRC-32C of a block's plain
/// bytes. It does not see that a whole directory is an older copy of itself. Two processes that go on from one image of a running
/// machine's memory have one start nonce: restart a machine that was cloned while it ran.
package struct SealedForm: Sendable {
  /// Goes into the derived key, so that pages and blocks have different ones.
  enum Purpose: String, Sendable {
    case page
    case block = "log block"
  }

  let purpose: Purpose
  /// Bytes at the front that stay plain, and are authenticated.
  let headerBytes: Int
  /// Where in the header the 12 bytes stand that no two writes of one start share.
  let nonceOffset: Int
  /// Where in the header the number stands (u64) that says whether it may be plain.
  let orderOffset: Int
  /// Where in the header the id of the data key goes (u32), zero in plain ones. There and not in the tail, so that what a torn
  /// write left is not taken for something under a key that nobody has.
  let keyOffset: Int

  /// A page: nonce is page id and birth epoch.
  package static let page = SealedForm(purpose: .page, headerBytes: 32, nonceOffset: 4, orderOffset: 8, keyOffset: 28)
  /// A log block: nonce is its sequence and, for the length, half of the watermark.
  package static let block = SealedForm(
    purpose: .block, headerBytes: 104, nonceOffset: 48, orderOffset: 48, keyOffset: 96)

  package static let tailBytes = 32
  static let nonceBytes = 12
  static let startNonceBytes = 16
  static let tagBytes = 16

  /// The data key that a page or block names as its own; nil when it is plain.
  package func keyID(of bytes: UnsafeRawBufferPointer) -> UInt32? {
    guard bytes.count >= headerBytes else { return nil }
    let id = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: keyOffset, as: UInt32.self))
    return id == 0 ? nil : id
  }
}
