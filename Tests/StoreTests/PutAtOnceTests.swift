import Primitives
import Testing

@testable import Store

/// Puts that take neither a frame nor a page. That they give what other puts give is for ModelTests.
@Suite struct PutAtOnceTests {
  private func ahead(_ harness: Harness, _ key: [UInt8]) -> LeafAhead {
    key.withUnsafeBytes { key in
      var keys = [KeyAhead(key: key, recordCount: 20)]
      keys.withUnsafeMutableBufferPointer { harness.store.prefetchLeaves(shard, $0) }
      return keys[0].leaf
    }
  }

  @Test func aPutBehindAFreezeTakesABatchAndTheNextOneNone() throws {
    let harness = try Harness(limits: defaultLimits())
    try harness.create()
    for number in 0..<50 { try harness.put(numbered(number), [1]) }
    try harness.checkpoint()
    #expect(try harness.putAtOnce(numbered(60), [2]) == nil)
    try harness.put(numbered(60), [2])
    #expect(try harness.putAtOnce(numbered(61), [3]) == .some(nil))
    #expect(try harness.putAtOnce(numbered(61), [4]) == .some([3]))
    #expect(try harness.putAtOnce(numbered(61), [4, 4]) == nil)
    #expect(try harness.get(numbered(61)) == [4])
    #expect(try harness.rows().count == 52)
    try harness.checkpoint()
    try harness.reopen()
    #expect(try harness.get(numbered(61)) == [4])
  }

  @Test func aFullLeafAndALongValueTakeABatch() throws {
    let harness = try Harness(limits: defaultLimits())
    try harness.create()
    try harness.put(numbered(0), filled(3_000, 1))
    #expect(try harness.putAtOnce(numbered(1), filled(20_000, 1)) == nil)
    var number = 1
    while try harness.putAtOnce(numbered(number), filled(3_000, 1)) != nil { number += 1 }
    #expect(number == 5)
    try harness.put(numbered(9), filled(20_000, 1))
    #expect(try harness.putAtOnce(numbered(9), [1]) == nil)
  }

  /// A frame in which a leaf was seen holds another tree's by now.
  @Test func aFrameThatWasGivenToAnotherPageIsNotTakenForTheLeaf() throws {
    let harness = try Harness(limits: defaultLimits())
    try harness.create()
    for number in 0..<2_000 { try harness.put(numbered(number), filled(100, number)) }
    try harness.create(ShardID(8))
    try harness.checkpoint()
    try harness.put(numbered(0), [1])
    let key = numbered(1_000)
    _ = try harness.get(key)
    let seen = ahead(harness, key)
    #expect(seen.frame != nil)
    #expect(harness.store.evict(seen.page))
    for row in [numbered(0), numbered(5_000)] { try harness.put(row, [8], in: ShardID(8)) }
    #expect(seen.frame.map { Page($0).birth == harness.store.epoch && Page($0).count == 2 } == true)
    if try harness.putAtOnce(key, filled(100, 7), ahead: seen) == nil { try harness.put(key, filled(100, 7)) }
    #expect(try harness.get(key) == filled(100, 7))
    #expect(try harness.rows(in: ShardID(8)).count == 2)
  }
}
