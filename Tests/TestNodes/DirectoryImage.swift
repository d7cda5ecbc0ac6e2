import Journal
import Node
import Primitives
import Ring
import Server
import Store

/// What a disk holds of a data directory: its files, whole.
package struct DirectoryImage {
  package var pages: [UInt8]
  package var segments: [UInt32: [UInt8]] = [:]
  package var boots: [UInt8]?

  package mutating func write(_ bytes: ArraySlice<UInt8>, to file: UInt32, at offset: Int) {
    segments[file]?.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }

  package mutating func writePages(_ bytes: ArraySlice<UInt8>, at offset: Int) {
    if pages.count < offset + bytes.count {
      pages.append(contentsOf: [UInt8](repeating: 0, count: offset + bytes.count - pages.count))
    }
    pages.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  }
}

/// One thing that a node did to its disk, in the order in which it completed.
package enum DiskOperation {
  /// Durable when it is completed.
  case log(file: UInt32, offset: Int, [UInt8])
  case segment(file: UInt32, count: Int)
  case removed(file: UInt32)
  case grown(Int)
  /// May be lost, by sectors, until the next `synced`.
  case page(offset: Int, [UInt8])
  case synced
  /// Durable when it is completed.
  case superblock(offset: Int, [UInt8])
  case boots([UInt8])
}

/// How a crash leaves what was not durable: of each sector of 512 bytes, whether it arrived.
package enum Tearing: Sendable {
  case nothing, everything, firstHalf, lastHalf
  case random(UInt64)

  private func keeps(_ sector: Int, of count: Int) -> Bool {
    switch self {
    case .nothing: return false
    case .everything: return true
    case .firstHalf: return sector < count / 2
    case .lastHalf: return sector >= count / 2
    case .random(let seed):
      var random = SeededRandom(seed: seed &* 1_000_003 &+ UInt64(sector))
      return random.chance(1, outOf: 2)
    }
  }

  /// What is no write arrives whole or not at all.
  package var keepsWhole: Bool { keeps(0, of: 2) }

  /// The sectors of `bytes` that arrived.
  package func pieces(_ bytes: [UInt8]) -> [(offset: Int, bytes: ArraySlice<UInt8>)] {
    let count = bytes.count / 512
    return (0..<count).filter { keeps($0, of: count) }.map {
      ($0 * 512, bytes[$0 * 512..<($0 + 1) * 512])
    }
  }
}

extension DirectoryImage {
  /// Performs `operation` as far as `tearing` lets it come.
  package mutating func apply(_ operation: DiskOperation, _ tearing: Tearing = .everything) {
    switch operation {
    case .log(let file, let offset, let bytes):
      for piece in tearing.pieces(bytes) { write(piece.bytes, to: file, at: offset + piece.offset) }
    case .page(let offset, let bytes), .superblock(let offset, let bytes):
      for piece in tearing.pieces(bytes) { writePages(piece.bytes, at: offset + piece.offset) }
    case .segment, .removed, .grown, .boots:
      // Whole or not at all: the file system's own.
      if tearing.keepsWhole { applyWhole(operation) }
    case .synced: break
    }
  }

  private mutating func applyWhole(_ operation: DiskOperation) {
    switch operation {
    case .segment(let file, let count): segments[file] = [UInt8](repeating: 0, count: count)
    case .removed(let file): segments[file] = nil
    case .grown(let count):
      pages.append(contentsOf: [UInt8](repeating: 0, count: max(0, count - pages.count)))
    case .boots(let bytes): boots = bytes
    case .log, .page, .superblock, .synced: break
    }
  }

  /// What is there when the power fails while operation number `count` is under way: what was durable; of the page writes since
  /// the last sync what `unsynced` leaves; of the one under way what `last` leaves.
  package static func afterCrash(
    from start: DirectoryImage, _ operations: [DiskOperation], at count: Int, unsynced: Tearing,
    last: Tearing
  ) -> DirectoryImage {
    var image = start
    let synced =
      operations[..<count].lastIndex { if case .synced = $0 { true } else { false } } ?? -1
    for (position, operation) in operations[..<count].enumerated() {
      if case .page = operation, position > synced {
        image.apply(operation, unsynced)
      } else {
        image.apply(operation)
      }
    }
    if count < operations.count { image.apply(operations[count], last) }
    return image
  }
}

/// A directory image as a node reads it, and writes it while it runs.
package final class ImageDisk: LaneFiles {
  package var image: DirectoryImage
  package private(set) var operations: [DiskOperation] = []

  package init(_ image: DirectoryImage) { self.image = image }

  package var pagesBytes: UInt64 { UInt64(image.pages.count) }
  package var files: [JournalFile] {
    image.segments.keys.sorted().map {
      JournalFile(file: $0, bytes: UInt64(image.segments[$0]?.count ?? 0))
    }
  }

  package func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer)
    throws(JournalReadError)
  {
    try copy(image.segments[file] ?? [], Int(offset), target)
  }

  package func readPages(offset: UInt64, into target: UnsafeMutableRawBufferPointer)
    throws(JournalReadError)
  {
    try copy(image.pages, Int(offset), target)
  }

  private func copy(
    _ bytes: [UInt8], _ offset: Int, _ target: UnsafeMutableRawBufferPointer
  ) throws(JournalReadError) {
    guard offset + target.count <= bytes.count else { throw JournalReadError(errno: 5) }
    bytes.withUnsafeBytes {
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + target.count]))
    }
  }

  package func perform(_ operation: DiskOperation) {
    image.apply(operation)
    operations.append(operation)
  }
}

extension DirectoryImage {
  /// Makes a data directory of it.
  package func write(to path: String) throws(SystemError) {
    for part in ["", "/lane-0", "/lane-0/log"] { try FileSystem.makeDirectory(path + part) }
    try FileSystem.replace(path + "/LOCK", with: [])
    try FileSystem.replace(path + "/lane-0/pages", with: pages)
    for (file, bytes) in segments {
      try FileSystem.replace("\(path)/lane-0/log/\(LogFiles.name(of: file))", with: bytes)
    }
    if let boots { try FileSystem.replace(path + "/boots", with: boots) }
  }
}
