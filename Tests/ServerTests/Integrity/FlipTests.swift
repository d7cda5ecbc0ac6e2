import Node
import Primitives
import TestNodes
import TestScale
import Testing

/// Every byte of a small data directory is changed in turn, and a node starts on it: a refusal with a reason, or the right rows.
/// Never a wrong one, never one too few, never a trap.
///
/// In long runs of one byte, such as the zeros that fill blocks and pages up, one in 499 is taken, and 16 on either side of
/// everything else. With FILESTORE_LONG_TESTS in the environment all of these are changed, otherwise one in 32: each journal
/// block and page by itself is gone through in JournalTests and StoreTests. The log is sealed: of what a node that was killed
/// wrote last, `CrashAtEveryWriteTests` tells.
@Suite struct FlipTests {
  private static let shares = 32
  static let taken = scaled([10], long: Array(0..<shares))

  @Test(arguments: taken)
  func aChangedByteAnywhereGivesARefusalOrTheRightRows(share: Int) throws {
    let run = try RecordedRun(putsPerStart: 16, last: 10)
    let right = Outcome.rows(run.state(after: run.puts.count))
    #expect(Outcome(ImageDisk(run.end), boots: run.end.boots) == right)
    #expect(run.checkpoints >= 2, "pages, and behind them a log")
    var counts = (refused: 0, right: 0)
    func judge(_ image: DirectoryImage, _ place: String) {
      let outcome = Outcome(ImageDisk(image), boots: image.boots)
      if outcome == right {
        counts.right += 1
      } else if case .refused(let reason) = outcome {
        counts.refused += 1
        #expect(!reason.isEmpty, "\(place)")
      } else {
        Issue.record("\(place): \(outcome)")
      }
    }
    for offset in places(run.end.pages, share) {
      var image = run.end
      image.pages[offset] ^= Self.mask(offset)
      judge(image, "pages at \(offset)")
    }
    for (file, bytes) in run.end.segments.sorted(by: { $0.key < $1.key }) {
      for offset in places(bytes, share) {
        var image = run.end
        image.segments[file]?[offset] ^= Self.mask(offset)
        judge(image, "log \(file) at \(offset)")
      }
    }
    let boots = run.end.boots ?? []
    for offset in boots.indices where offset % Self.shares == share {
      var image = run.end
      image.boots?[offset] ^= Self.mask(offset)
      judge(image, "boots at \(offset)")
    }
    #expect(counts.refused > 50 && counts.right > 50, "\(counts)")
  }

  private static func mask(_ offset: Int) -> UInt8 { 1 << UInt8(offset % 8) }

  /// This share of the offsets that are taken.
  private func places(_ bytes: [UInt8], _ share: Int) -> [Int] {
    var isNear = [Bool](repeating: false, count: bytes.count)
    for offset in bytes.indices.dropFirst() where bytes[offset] != bytes[offset - 1] {
      for near in max(0, offset - 17)..<min(bytes.count, offset + 16) { isNear[near] = true }
    }
    return bytes.indices.filter { isNear[$0] || $0 % 499 == 0 }.enumerated().filter {
      $0.offset % Self.shares == share
    }
    .map(\.element)
  }
}
