import Glibc
import Logging
import Primitives
import Ring
import Testing

@testable import Server

@Suite struct LinkFrameTests {
  private let hello = Hello(
    cluster: Array(0..<16), node: NodeID(1), to: NodeID(2), incarnation: Incarnation(3), boot: 4, nonce: 5)

  @Test func aHelloHasItsGoldenBytes() {
    let expected: [UInt8] =
      [1, 1, 0] + Array(0..<16) + [1, 0, 0, 0, 2, 0, 0, 0]
      + [3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]
    #expect(hello.encoded(to: NodeID(2)) == expected)
  }

  @Test func aHelloIsReadBackAlsoFromALongerOne() throws {
    for extra in [[], [UInt8](repeating: 9, count: 8)] {
      let bytes = Array(hello.encoded(to: NodeID(2)).dropFirst()) + extra
      let read = try bytes.withUnsafeBytes { raw throws(DecodeError) in try Hello(decoding: raw) }
      #expect(read == hello)
    }
  }

  @Test func aCutHelloAndAnotherVersionAreRefused() {
    let bytes = Array(hello.encoded(to: NodeID(2)).dropFirst())
    for count in 0..<bytes.count {
      #expect(throws: DecodeError.self) {
        try Array(bytes[..<count]).withUnsafeBytes { raw in try Hello(decoding: raw) }
      }
    }
    let other = [9, 0] + bytes.dropFirst(2)
    #expect(throws: DecodeError.self) { try other.withUnsafeBytes { raw in try Hello(decoding: raw) } }
  }

  @Test func partsBecomeOnePayload() throws {
    var reader = LinkReader()
    func take(_ kind: LinkFrame.Kind, _ bytes: [UInt8]) throws -> [UInt8]? {
      try bytes.withUnsafeBytes { try reader.take(kind, $0) }
    }
    #expect(try take(.payload, [1, 2]) == [1, 2])
    #expect(try take(.part, [1]) == nil)
    #expect(try take(.part, [2]) == nil)
    #expect(try take(.lastPart, [3]) == [1, 2, 3])
    #expect(try take(.lastPart, []) == [])
    _ = try take(.part, [1])
    #expect(throws: DecodeError.self) { try take(.payload, [2]) }
  }
}

@Suite struct HistogramTests {
  @Test func aDurationFallsUnderItsBound() {
    for nanoseconds: UInt64 in [0, 1, 1000, 1001, 1500, 1501, 2000, 2001, 3000, 3001, 4000, 999_999, 1_000_000_000] {
      let bucket = Histogram.bucket(nanoseconds)
      #expect(nanoseconds <= Histogram.upperBound(bucket))
      if bucket > 0 { #expect(nanoseconds > Histogram.upperBound(bucket - 1)) }
    }
    #expect(Histogram.bucket(.max) == Histogram.bucketCount)
  }

  @Test func everythingIsCountedOnce() {
    var histogram = Histogram()
    for value: UInt64 in [500, 1200, 1200, 80_000_000_000_000] { histogram.record(Nanoseconds(value)) }
    var counts: [UInt64] = []
    histogram.forEachCumulative { _, count in counts.append(count) }
    #expect(counts[0] == 1 && counts[1] == 3 && counts.last == 3 && histogram.count == 4)
  }

  @Test func theExpositionIsPrometheusText() {
    var page = Exposition()
    page.counter("x_total", "Xs.", 3)
    page.seconds("t_seconds_total", "Time.", nanoseconds: 1_500_000_000)
    #expect(
      String(decoding: page.bytes, as: UTF8.self) == """
        # HELP filestore_x_total Xs.
        # TYPE filestore_x_total counter
        filestore_x_total 3
        # HELP filestore_t_seconds_total Time.
        # TYPE filestore_t_seconds_total counter
        filestore_t_seconds_total 1.5

        """)
    #expect(Exposition.seconds(1000) == "0.000001" && Exposition.seconds(0) == "0")
  }
}

@Suite struct LogTests {
  @Test func anEventIsOneLine() {
    let time = timespec(tv_sec: 1_767_225_600, tv_nsec: 5_000_000)
    let line = lineOf(.info, "leads\nnow", ["term": "7", "reason": "a \"b\"\n", "empty": ""], wallClock: time)
    #expect(line == #"2026-01-01T00:00:00.005Z info    leads now empty="" reason="a \"b\"\n" term=7"#)
  }
}

@Suite struct TransferTests {
  @Test func aShortCountGoesOnAndAnEndIsAnError() {
    let memory = AlignedBuffer(count: 8192)
    var write = Transfer(writing: memory.readOnly, to: 1, at: 0)
    #expect(write.advance(-EINTR) == .goesOn)
    #expect(write.advance(4096) == .goesOn)
    #expect(write.advance(4096) == .complete)
    var full = Transfer(writing: memory.readOnly, to: 1, at: 0)
    #expect(full.advance(0) == .failed(errno: ENOSPC))
    var read = Transfer(reading: memory.bytes, from: 1, at: 0)
    #expect(read.advance(0) == .failed(errno: EIO))
    #expect(read.advance(-EIO) == .failed(errno: EIO))
  }

  @Test func segmentsHaveEightDigits() {
    #expect(LogFiles.name(of: 7) == "00000007.log")
    #expect(LogFiles.number(in: "00000007.log") == 7)
    for name in ["7.log", "00000007.log.new", "x.log", "00000007"] { #expect(LogFiles.number(in: name) == nil) }
  }

  @Test func slotsAreUsedAgain() {
    var table = SlotTable<String>()
    let (a, b) = (table.insert("a"), table.insert("b"))
    table.remove(a)
    #expect(table[a] == nil && table[b] == "b" && table.insert("c") == a && table.count == 2)
  }

  @Test func aPendingRequestIsFoundByItsNameOnly() {
    var table = PendingTable()
    let request = PendingRequest(
      connection: 1, slot: 0, kind: .read, isStream: false, stream: .init(rawValue: 1), startedAt: .zero)
    let first = table.insert(request)
    #expect(table.remove(first) != nil && table.remove(first) == nil)
    let second = table.insert(request)
    #expect(second != first && table.remove(first) == nil && table.count == 1)
  }
}
