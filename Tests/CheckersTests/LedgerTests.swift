import Checkers
import Primitives
import Testing

@Suite struct LedgerTests {
  private func row(_ value: UInt64, _ number: UInt64) -> AckedLedger.Row {
    AckedLedger.Row(value: value, version: version(number))
  }

  @Test func theNewestAcknowledgedWriteOrALaterOneIsThere() {
    var ledger = AckedLedger()
    #expect(ledger.acknowledge("a", row(2, 20)) == nil)
    #expect(ledger.acknowledge("a", row(1, 10)) == nil)
    #expect(ledger.check("a", found: row(2, 20)) == nil)
    #expect(ledger.check("a", found: row(9, 21)) == nil)
    #expect(ledger.check("a", found: row(1, 10))?.rule == "AckedIsDurable")
    #expect(ledger.check("a", found: row(3, 20))?.rule == "AckedIsDurable")
    #expect(ledger.check("a", found: nil)?.rule == "AckedIsDurable")
    #expect(ledger.check("never written", found: nil) == nil)
    #expect(ledger.acknowledged == 2)
  }

  @Test func aKeyThatMayBeDeletedMayBeAbsent() {
    var ledger = AckedLedger()
    #expect(ledger.acknowledge("a", row(1, 10)) == nil)
    ledger.mayDelete("a")
    #expect(ledger.check("a", found: nil) == nil)
    #expect(ledger.check("a", found: row(1, 9)) != nil)
  }

  @Test func twoValuesAtOneVersionAreRefused() {
    var ledger = AckedLedger()
    #expect(ledger.acknowledge("a", row(1, 10)) == nil)
    #expect(ledger.acknowledge("a", row(1, 10)) == nil)
    #expect(ledger.acknowledge("a", row(2, 10))?.rule == "OneValuePerVersion")
  }

  @Test func everyLostKeyIsNamedUpToTheLimit() {
    var ledger = AckedLedger()
    for n in 0..<100 { _ = ledger.acknowledge("k\(n)", row(UInt64(n), 1)) }
    let lost = ledger.checkAll(limit: 3) { $0 == "k0" ? row(0, 1) : nil }
    #expect(lost.count == 3)
    #expect(lost.first?.detail == "key \"k1\": value 1 was acknowledged at version 1, but there is no row")
  }
}

@Suite struct ReplicaEqualityTests {
  @Test func oneAppliedIndexHasOneHash() {
    var equality = ReplicaEquality()
    func see(_ node: UInt32, _ applied: UInt64, _ hash: UInt64) -> Violation? {
      equality.observe(node: NodeID(node), shard: ShardID(1), applied: LogIndex(applied), stateHash: hash)
    }
    #expect(see(1, 5, 0xaa) == nil)
    #expect(see(2, 6, 0xbb) == nil)
    #expect(see(2, 5, 0xaa) == nil)
    #expect(see(3, 6, 0xbc)?.detail == "shard s1 at i6: n2 has state hash bb, n3 bc")
    #expect(equality.comparisons == 2)
  }

  @Test func oldPositionsAreForgotten() {
    var equality = ReplicaEquality(limit: 2)
    for applied in 1...3 {
      #expect(
        equality.observe(node: NodeID(1), shard: ShardID(1), applied: LogIndex(UInt64(applied)), stateHash: 1) == nil)
    }
    #expect(equality.observe(node: NodeID(2), shard: ShardID(1), applied: LogIndex(1), stateHash: 2) == nil)
    #expect(equality.observe(node: NodeID(2), shard: ShardID(1), applied: LogIndex(3), stateHash: 2) != nil)
  }
}

@Suite struct BatchAtomicityTests {
  @Test func aBatchIsSeenWholeOrNotAtAll() {
    let group = ["a", "b", "c"]
    #expect(checkBatchAtomicity(group: group, values: [1, 1, 1]) == nil)
    #expect(checkBatchAtomicity(group: group, values: [nil, nil, nil]) == nil)
    #expect(checkBatchAtomicity(group: [], values: []) == nil)
    #expect(
      checkBatchAtomicity(group: group, values: [1, 1, 2])?.detail
        == "one read saw value 1 at \"a\" and value 2 at \"c\"")
    #expect(checkBatchAtomicity(group: group, values: [1, nil, 1]) != nil)
  }
}
