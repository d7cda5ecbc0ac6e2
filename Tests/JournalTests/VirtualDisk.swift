import Glibc
import Primitives

@testable import Journal

/// Files in memory. Writes wait until they are settled; a crash keeps, tears or loses each of them by sectors.
final class VirtualDisk: JournalSource {
  static let sector = 512

  struct Pending {
    let write: JournalWrite
    let bytes: [UInt8]
  }

  private(set) var content: [UInt32: [UInt8]] = [:]
  var pending: [Pending] = []
  /// Reads of this file and offset range fail with EIO.
  var unreadable: (file: UInt32, offset: UInt64)?
  /// What was begun to be read: nothing else may happen before it is finished.
  private var begun: (file: UInt32, offset: UInt64, target: UnsafeMutableRawBufferPointer)?
  private(set) var readsBegun = 0

  var files: [JournalFile] {
    content.keys.sorted().map { JournalFile(file: $0, bytes: UInt64(content[$0]!.count)) }
  }

  func copy() -> VirtualDisk {
    let other = VirtualDisk()
    other.content = content
    return other
  }

  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    precondition(begun == nil, "what was begun is finished first")
    if let bad = unreadable, bad.file == file, bad.offset >= offset, bad.offset < offset + UInt64(target.count) {
      throw JournalReadError(errno: 5)
    }
    content[file]!.withUnsafeBytes {
      target.copyMemory(from: .init(rebasing: $0[Int(offset)..<Int(offset) + target.count]))
    }
  }

  /// The bytes come as late as they may; until then others stand there.
  func beginReading(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool {
    precondition(begun == nil, "one read at a time")
    if let base = target.baseAddress { memset(base, 0xA5, target.count) }
    begun = (file, offset, target)
    readsBegun += 1
    return true
  }

  func finishReading() throws(JournalReadError) {
    guard let read = begun else { preconditionFailure("a read was begun") }
    begun = nil
    try self.read(file: read.file, offset: read.offset, into: read.target)
  }

  // MARK: Encryption, in its plainest form

  /// Not to be opened: the sequences of these blocks.
  var unopenable: Set<UInt64> = []
  private var scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: JournalFormat.blockBytesMax, alignment: 16)

  deinit { scratch.deallocate() }

  /// Makes a block look as if it were encrypted.
  static func sealed(_ block: [UInt8]) -> [UInt8] {
    let end = block.count - JournalFormat.tailBytes
    return Array(block[..<JournalFormat.headerBytes]) + block[JournalFormat.headerBytes..<end].map { $0 ^ 0x5A }
      + [UInt8](repeating: 0x77, count: 32)
  }

  func opened(_ block: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    guard block[block.count - 1] == 0x77 else { return block }
    guard !unopenable.contains(read64(block, 48)) else { return nil }
    let end = block.count - JournalFormat.tailBytes
    scratch.copyMemory(from: block)
    for offset in JournalFormat.headerBytes..<end { scratch[offset] ^= 0x5A }
    for offset in end..<block.count { scratch[offset] = 0 }
    return UnsafeRawBufferPointer(rebasing: scratch[..<block.count])
  }

  func bytes(_ file: UInt32, _ offset: UInt64, _ count: Int) -> [UInt8] {
    Array(content[file]![Int(offset)..<Int(offset) + count])
  }

  func prepare(_ order: SegmentPreparation) {
    if order.isFresh {
      content[order.file] = [UInt8](repeating: 0, count: Int(order.bytes))
    } else {
      precondition(content[order.file]!.count == Int(order.bytes), "a recycled file has its size")
    }
  }

  func remove(_ file: UInt32) { content[file] = nil }
  func truncate(_ file: UInt32, _ count: Int) { content[file] = Array(content[file]!.prefix(count)) }

  func settle(_ id: WriteID) {
    let position = pending.firstIndex { $0.write.id == id }!
    let pending = pending.remove(at: position)
    for sector in 0..<pending.bytes.count / Self.sector { store(pending, sector) }
  }

  /// Stores those sectors of the pending write at `position` that `keeps` says.
  func tear(_ position: Int, keeps: (Int) -> Bool) {
    let pending = pending[position]
    for sector in 0..<pending.bytes.count / Self.sector where keeps(sector) { store(pending, sector) }
  }

  /// Power is lost: each pending write is kept, lost or torn.
  func crash(_ random: inout SeededRandom) {
    for position in pending.indices {
      let mode = random.below(5)
      let count = UInt64(pending[position].bytes.count / Self.sector)
      let cut = Int(random.below(count + 1))
      switch mode {
      case 0: tear(position) { _ in true }
      case 1: break
      case 2: tear(position) { $0 < cut }
      case 3: tear(position) { $0 >= cut }
      default:
        let kept = (0..<count).map { _ in random.chance(1, outOf: 2) }
        tear(position) { kept[$0] }
      }
    }
    pending = []
  }

  private func store(_ pending: Pending, _ sector: Int) {
    let from = sector * Self.sector
    let at = Int(pending.write.offset) + from
    content[pending.write.file]!.replaceSubrange(at..<at + Self.sector, with: pending.bytes[from..<from + Self.sector])
  }

  func flip(_ file: UInt32, _ offset: Int, _ mask: UInt8) { content[file]![offset] ^= mask }
  func overwrite(_ file: UInt32, _ offset: Int, _ bytes: [UInt8]) {
    content[file]!.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }
}
