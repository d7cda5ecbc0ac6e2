import Primitives
import Testing

@testable import Node

@Suite struct EntryPayloadTests {
  private func payload(_ commands: [[UInt8]]) -> [UInt8] {
    var builder = EntryBuilder()
    for command in commands { builder.append(command) }
    return builder.finish()
  }

  private func commands(_ cursor: EntryCursor) throws -> [[UInt8]] {
    var cursor = cursor
    var found: [[UInt8]] = []
    while !cursor.isAtEnd {
      found.append(Array(cursor.payload[try cursor.current()]))
      try cursor.advance()
    }
    return found
  }

  @Test func anEntryPayloadHasItsGoldenBytes() {
    #expect(payload([[7, 8], []]) == [1, 2, 0, 0, 0, 2, 0, 0, 0, 7, 8, 0, 0, 0, 0])
  }

  @Test func commandsComeBackInOrder() throws {
    let all: [[UInt8]] = [[1], [], [2, 3, 4]]
    #expect(try commands(EntryCursor(payload(all))) == all)
    #expect(try commands(EntryCursor(payload(all), skipping: 2)) == [[2, 3, 4]])
    #expect(try EntryCursor(payload(all), skipping: 3).isAtEnd)
  }

  @Test func aPayloadHasNoSpareRoomHoweverItsBufferGrew() throws {
    var builder = EntryBuilder()
    for count in [1, 2, 3, 40, 700, 3, 1, 4000, 2] {
      let all = (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 90 + $0 % 70) }
      for command in all { builder.append(command) }
      let payload = builder.finish()
      #expect(payload.capacity - payload.count <= payload.count / 8 + 32, "\(count) commands")
      #expect(try commands(EntryCursor(payload)) == all)
    }
  }

  @Test func aBuilderIsEmptyAfterItsEnd() {
    var builder = EntryBuilder()
    builder.append([1])
    _ = builder.finish()
    #expect(builder.isEmpty)
    builder.append([2])
    #expect(builder.finish() == payload([[2]]))
  }

  @Test func anEntryIsFullByCountAndByBytes() {
    var many = EntryBuilder()
    for _ in 0..<EntryBuilder.commandsMax { many.append([]) }
    #expect(!many.hasRoom(for: []))

    var large = EntryBuilder()
    large.append([UInt8](repeating: 0, count: EntryBuilder.bytesMax - 100))
    #expect(large.hasRoom(for: [UInt8](repeating: 0, count: 87)))
    #expect(!large.hasRoom(for: [UInt8](repeating: 0, count: 88)))
    // One command may be larger than an entry of several.
    #expect(EntryBuilder().hasRoom(for: [UInt8](repeating: 0, count: EntryBuilder.commandBytesMax)))
  }

  @Test func malformedPayloadsAreRefused() throws {
    let good = payload([[1, 2], [3]])
    #expect(throws: DecodeError.self) { try EntryCursor(good, skipping: 3) }
    #expect(throws: DecodeError.self) { try EntryCursor([2] + good.dropFirst()) }
    #expect(throws: DecodeError.self) { try EntryCursor([1, 0, 0, 0, 0]) }
    #expect(throws: DecodeError.self) { try EntryCursor([1, 1, 0x10, 0, 0, 0, 0, 0, 0]) }
    for count in 0..<good.count {
      #expect(throws: DecodeError.self) { try commands(EntryCursor(Array(good[..<count]))) }
    }
  }
}
