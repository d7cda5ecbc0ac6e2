import Primitives
import TestScale
import Testing

@testable import Journal

/// Reading ahead changes when bytes are read, never which.
@Suite struct WindowTests {
  private static let pieceBytes = JournalFormat.blockBytesMax
  private static let page = JournalFormat.pageBytes

  private func disk(pages: [Int], _ random: inout SeededRandom) -> VirtualDisk {
    let disk = VirtualDisk()
    for (number, count) in pages.enumerated() {
      let file = UInt32(number + 1)
      disk.prepare(SegmentPreparation(file: file, bytes: UInt64(count * Self.page), isFresh: true))
      // A word of each page is enough to tell it from all others.
      for page in 0..<count {
        let word = random.next()
        withUnsafeBytes(of: word) { disk.overwrite(file, page * Self.page + 512 * Int(word % 8), Array($0)) }
      }
    }
    return disk
  }

  @Test(arguments: 0..<scaled(10, long: 40)) func whateverIsAskedForIsWhatTheFileHolds(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let disk = disk(pages: [700, 64, 65, 300], &random)
    let files = disk.files
    let window = SegmentWindow(disk, pieceBytes: Self.pieceBytes)
    var (file, at) = (files[0], 0)
    for _ in 0..<600 {
      let pages = Int(file.bytes) / Self.page
      if at >= pages || random.chance(1, outOf: 60) {
        file = files[Int(random.below(UInt64(files.count)))]
        at = Int(random.below(file.bytes / UInt64(Self.page)))
      }
      let count = 1 + Int(random.below(random.chance(1, outOf: 3) ? 64 : 6))
      let ahead = random.chance(1, outOf: 8) ? 0 : Self.pieceBytes
      let offset = UInt64(at * Self.page)
      let bytes = try window.bytes(of: file, at: offset, count: count * Self.page, ahead: ahead)
      guard at + count <= Int(file.bytes) / Self.page else {
        #expect(bytes == nil)
        at = .max
        continue
      }
      #expect(Array(try #require(bytes)) == disk.bytes(file.file, offset, count * Self.page), "seed \(seed)")
      if random.chance(7, outOf: 8) { at += count }
    }
    #expect(disk.readsBegun > 3)
  }

  /// From the first page to the last, each byte is read once, and while one piece is used the next is on its way.
  @Test func aFileThatIsReadFromEndToEndIsReadOnce() throws {
    var random = SeededRandom(seed: 1)
    let disk = disk(pages: [640], &random)
    let window = SegmentWindow(disk, pieceBytes: Self.pieceBytes)
    for at in stride(from: 0, to: 640, by: 5) {
      let offset = UInt64(at * Self.page)
      let bytes = try window.bytes(of: disk.files[0], at: offset, count: 5 * Self.page, ahead: Self.pieceBytes)
      #expect(Array(try #require(bytes)) == disk.bytes(1, offset, 5 * Self.page))
    }
    #expect(disk.readsBegun == 10)
  }

  @Test func aReadThatFailsIsToldWithItsPlaceAndMayBeTriedAgain() throws {
    var random = SeededRandom(seed: 2)
    let disk = disk(pages: [300], &random)
    let window = SegmentWindow(disk, pieceBytes: Self.pieceBytes)
    let file = disk.files[0]
    func read(_ page: Int) throws(JournalRefusal) -> [UInt8]? {
      try window.bytes(of: file, at: UInt64(page * Self.page), count: Self.page, ahead: Self.pieceBytes).map {
        Array($0)
      }
    }
    disk.unreadable = (1, UInt64(70 * Self.page))
    for page in 0..<64 { #expect(try read(page) != nil) }
    let refusal = JournalRefusal.unreadable(file: 1, offset: UInt64(64 * Self.page), errno: 5)
    #expect(throws: refusal) { try read(64) }
    #expect(throws: refusal) { try read(64) }
    disk.unreadable = nil
    #expect(try read(64) == disk.bytes(1, UInt64(64 * Self.page), Self.page))
  }

  /// More than two pieces of the real size, with blocks over their borders.
  @Test func aLongSegmentComesBack() throws {
    var settings = Harness.smallSettings()
    settings.segmentBytes = 16 << 20
    settings.logBytesMax = 64 << 20
    settings.reserveBytes = 16 << 20
    let harness = try Harness(settings)
    harness.settle()
    for index in UInt64(1)...130 {
      harness.append(1, [entry(index, 1, 90_000 + Int(index))])
      harness.settle()
    }
    #expect(harness.journal.segmentCount == 1)
    let recovered = try harness.restart()
    #expect(recovered.shards[0].entries.count == 130)
    #expect(harness.disk.readsBegun > 4)
  }
}
