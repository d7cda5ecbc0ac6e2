import Primitives
import Store
import Testing

@testable import Tables

/// What `verify` and `dump` see: each entry is told for what it is, and what cannot be is told too.
@Suite struct StateAuditTests {
  private struct Entry {
    var key: [UInt8]
    var value: [UInt8]
  }

  private func entries(_ shard: Shard) -> [Entry] {
    shard.disk.read { (store) throws(PageMissing) in
      var found: [Entry] = []
      let cursor = try store.cursor(shardID)
      var isOn = try cursor.first()
      while isOn {
        found.append(Entry(key: Array(try cursor.key()), value: Array(try cursor.value())))
        isOn = try cursor.next()
      }
      return found
    }
  }

  private func take(_ entries: [Entry]) -> (audit: StateAudit, found: [StateAudit.Entry]) {
    var audit = StateAudit()
    let found = entries.map { entry in
      entry.key.withBytes { key in entry.value.withBytes { audit.take(key: key, value: $0) } }
    }
    return (audit, found)
  }

  /// Two tables, one of them dropped with rows that are left; overwritten and deleted rows.
  private func filled(keeping: Bool) throws -> Shard {
    var shard = Shard()
    if keeping { _ = shard.advance(0, retention: 100_000) }
    let table = try shard.create(simple)
    let other = try shard.create(simple.replacing("\"simple\"", with: "\"other\""))
    for key in ["a", "b", "c"] {
      _ = try shard.put(table, key, "{\"v\":\"old \(key)\"}")
      _ = try shard.put(other, key, "{\"v\":\"of another\"}")
    }
    _ = try shard.put(table, "a", "{\"v\":\"new\"}")
    _ = try shard.delete(table, "b")
    _ = try shard.apply { (writer) throws(Refusal) in writer.dropTable(other.id) }
    return shard
  }

  @Test(arguments: [false, true])
  func everyEntryIsTold(keeping: Bool) throws {
    let shard = try filled(keeping: keeping)
    let (audit, found) = take(entries(shard))
    #expect(audit.differences(from: shard.machine.totals) == [])
    let table = try #require(audit.catalog.table(named: "simple"))
    #expect(found.filter { $0 == .row(table.id) }.count == 2, "newest versions of rows that are there")
    #expect(found.filter { $0 == .leftover }.count == 3)
    #expect(found.contains(.history) == keeping)
    #expect(!found.contains { if case .wrong = $0 { true } else { false } })
    #expect(audit.catalog.table(named: "other") == nil)
    var lines: [UInt8] = []
    for (entry, kind) in zip(entries(shard), found) where kind == .row(table.id) {
      entry.key.withBytes { key in
        entry.value.withBytes { audit.appendJSON(table, key: key, value: $0, to: &lines) }
      }
    }
    #expect(text(lines) == #"{"k":"a","v":"new","n":null}{"k":"c","v":"old c","n":null}"#)
  }

  /// Nothing traps, and no change is missed: what it makes cannot be, or the sum differs.
  @Test func everyChangedByteIsSeen() throws {
    let shard = try filled(keeping: true)
    let all = entries(shard)
    for (position, entry) in all.enumerated() {
      for offset in 0..<entry.key.count + entry.value.count {
        var changed = all
        if offset < entry.key.count {
          changed[position].key[offset] ^= 1 << UInt8(offset % 8)
        } else {
          changed[position].value[offset - entry.key.count] ^= 1 << UInt8(offset % 8)
        }
        let (audit, _) = take(changed)
        #expect(!audit.differences(from: shard.machine.totals).isEmpty, "entry \(position), byte \(offset)")
      }
      for count in 0..<min(entry.value.count, 40) {
        var changed = all
        changed[position].value.removeLast(count + 1)
        let (audit, _) = take(changed)
        #expect(!audit.differences(from: shard.machine.totals).isEmpty, "entry \(position), \(count + 1) bytes less")
      }
    }
  }

  @Test func whatNoWriterWritesIsNamed() throws {
    let shard = try filled(keeping: false)
    let all = entries(shard)
    func wrong(_ key: [UInt8], _ value: [UInt8]) -> String? {
      guard case .wrong(let text)? = take(all + [Entry(key: key, value: value)]).found.last else { return nil }
      return text
    }
    #expect(wrong([], []) == "an entry without a key")
    #expect(wrong([0x20, 0, 0], []) == "a row that is cut off")
    #expect(wrong([0x30], []) == "an entry of an unknown kind, or no writer's")
    #expect(wrong([0x28, 1], []) == "an entry of an unknown kind, or no writer's")
    let header = [UInt8](repeating: 0, count: StoredValue.headerBytes)
    #expect(wrong(StateKey.rowPrefix(TableID(777)), header) == "a row of a table that does not exist (777)")
    #expect(wrong(StateKey.rowPrefix(TableID(100)) + [9], header) == "a row that table simple cannot have")
  }
}
