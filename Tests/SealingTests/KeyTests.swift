import Primitives
import Testing

@testable import Sealing

@Suite struct KeyTests {
  // MARK: The operator's file

  @Test func aKeyFileIsReadLineByLine() throws {
    let keys = try masters("# made in November\r\n\n  \(line(1))\(line(2).uppercased())")
    #expect(keys.keys.map(\.id) == [master(1).id, master(2).id])
    #expect(!keys.isPlain)
    let plain = try masters("plain\n\(line(2))")
    #expect(plain.isPlain && plain.keys.map(\.id) == [master(2).id])
  }

  @Test(arguments: [
    ("", "holds no key"), ("plain\n", "holds no key"), ("abcd\n", "line 1, has 4 characters"),
    (line(1) + "zz" + String(repeating: "0", count: 62), "line 2, is not hexadecimal"),
    (line(1) + "plain\n", "line 2, has 5 characters"), (String(repeating: line(1), count: 65), "more than 64"),
  ])
  func aBadKeyFileIsRefusedWithItsPlace(_ text: String, _ reason: String) {
    let refusal = #expect(throws: KeyRefusal.self) { try masters(text) }
    #expect(refusal?.description.contains(reason) == true, "\(refusal.map(\.description) ?? "")")
    #expect(refusal?.description.contains("master.key") == true)
  }

  @Test(arguments: [0o640, 0o604, 0o666, 0o610] as [UInt32])
  func aKeyFileThatOthersCanReadIsRefused(_ mode: UInt32) {
    let refusal = #expect(throws: KeyRefusal.self) { try masters(line(1), mode: mode) }
    #expect(refusal?.description.contains("chmod 600 master.key") == true)
  }

  @Test func secretsAreNotShown() { #expect("\(secret([UInt8](repeating: 1, count: 32)))" == "a secret key") }

  // MARK: The table

  /// When this fails, directories encrypted yesterday cannot be opened.
  @Test func aKeyTableHasItsGoldenBytes() throws {
    let ring = try keyring(random: counting())
    ring.limitPlain(epoch: 0x0A0B, sequence: 0x0C0D)
    let encoded = ring.table.encoded()
    #expect(
      hex(encoded) == """
        46536b65797330310100000001000000\
        0700000000000000\
        0b0a0000000000000d0c000000000000\
        0000000000000000\
        2423222100000000e166f9aa96b5b71b\
        25262728292a2b2c2d2e2f30\
        8016fff332fc258e542611ae207f74f1d7577e0cf0cc7be1d1a10ebd950042aa\
        17be5315e53314b0a24353400c67e955\
        ed2adaa4
        """)
    #expect(try KeyTable(decoding: encoded) == ring.table)
  }

  @Test func aTableComesBackUnderItsMasterKey() throws {
    let ring = try keyring()
    #expect(ring.isChanged)
    let again = try keyring(ring.table.encoded())
    #expect(!again.isChanged)
    #expect(again.active == ring.active)
    #expect(again.table == ring.table)
    let sealed = Sealer(ring, lane: 0).sealed(.page, page(5, birth: 9))
    #expect(Sealer(again, lane: 0).opened(.page, sealed) == page(5, birth: 9))
  }

  @Test func everyChangedByteOfATableIsRefused() throws {
    let ring = try keyring()
    let encoded = ring.table.encoded()
    for index in encoded.indices {
      var changed = encoded
      changed[index] ^= 0x10
      #expect(throws: KeyRefusal.self, "byte \(index)") { try keyring(changed) }
      #expect(throws: KeyRefusal.self, "\(index) bytes") { try keyring(Array(encoded[..<index])) }
      // Also when somebody made its checksum right again: the directory, the ids and the key are authenticated.
      guard (16..<24).contains(index) || (48..<52).contains(index) || (56..<124).contains(index) else { continue }
      changed.replaceSubrange(
        (encoded.count - 4)..., with: withUnsafeBytes(of: crc32c(Array(changed.dropLast(4)))) { Array($0) })
      #expect(throws: KeyRefusal.self, "byte \(index)") { try keyring(changed) }
    }
  }

  @Test func anotherMasterKeyIsRefusedByName() throws {
    let ring = try keyring()
    let refusal = #expect(throws: KeyRefusal.self) { try keyring(ring.table.encoded(), line(2)) }
    let text = refusal?.description ?? ""
    #expect(text.contains(keyName(ring.active ?? 0)) && text.contains(keyName(master(1).id)), "\(text)")
    #expect(text.contains(keyName(master(2).id)) && text.contains("master.key"), "\(text)")
  }

  @Test func aTableOfAnotherDirectoryIsRefused() throws {
    let ring = try keyring(directory: 8)
    let refusal = #expect(throws: KeyRefusal.self) { try keyring(ring.table.encoded(), directory: 7) }
    #expect(refusal?.description.contains("another data directory") == true)
  }

  @Test func aNewFirstLineWrapsAnew() throws {
    let old = try keyring()
    let changed = try keyring(old.table.encoded(), line(2) + line(1))
    #expect(changed.isChanged)
    #expect(changed.table.keys.map(\.master) == [master(2).id])
    #expect(changed.active == old.active)
    // Now the new one alone suffices, and the old one does not.
    #expect(try keyring(changed.table.encoded(), line(2)).active == old.active)
    #expect(throws: KeyRefusal.self) { try keyring(changed.table.encoded(), line(1)) }
  }

  @Test func rotationBeginsANewDataKeyAndKeepsTheOld() throws {
    let ring = try keyring()
    let sealer = Sealer(ring, lane: 0)
    let first = ring.active
    let before = sealer.sealed(.page, page(5, birth: 9))
    var written: [UInt8] = []
    try ring.rotate(masters(line(2) + line(1))) { written = $0 }
    #expect(written == ring.table.encoded() && !ring.isChanged)
    #expect(ring.active != first && ring.table.keys.count == 2)
    #expect(ring.table.keys.allSatisfy { $0.master == master(2).id })
    let after = sealer.sealed(.page, page(5, birth: 9))
    #expect(SealedForm.page.keyID(of: after) == ring.active)
    let again = Sealer(try keyring(ring.table.encoded(), line(2)), lane: 0)
    for sealed in [before, after] { #expect(again.opened(.page, sealed) == page(5, birth: 9)) }
  }

  /// A key that is not durable seals nothing.
  @Test func aRotationThatCannotBeWrittenChangesNothing() throws {
    let ring = try keyring()
    let (table, active) = (ring.table, ring.active)
    #expect(throws: KeyRefusal("full")) {
      try ring.rotate(masters(line(2) + line(1))) { _ throws(KeyRefusal) in throw KeyRefusal("full") }
    }
    #expect(ring.table == table && ring.active == active && ring.secret(active ?? 0) != nil)
    let sealed = Sealer(ring, lane: 0).sealed(.page, page(5, birth: 9))
    #expect(SealedForm.page.keyID(of: sealed) == active)
  }

  @Test func thereIsAMostOfDataKeys() throws {
    let ring = try keyring()
    for _ in 1..<KeyTable.countMax { try ring.rotate(masters(line(1))) { _ in } }
    #expect(throws: KeyRefusal.self) { try ring.rotate(masters(line(1))) { _ in } }
    #expect(try keyring(ring.table.encoded()).table.keys.count == KeyTable.countMax)
  }

  @Test func encryptionIsSwitchedOffAndOnAgain() throws {
    let ring = try keyring()
    ring.limitPlain(epoch: 3, sequence: 4)
    let sealed = Sealer(ring, lane: 0).sealed(.page, page(5, birth: 9))
    let off = try keyring(ring.table.encoded(), "plain\n" + line(1))
    #expect(off.active == nil && off.isChanged)
    off.limitPlain(epoch: 3, sequence: 4)
    let reader = Sealer(off, lane: 0)
    #expect(!reader.isSealing)
    #expect(reader.opened(.page, sealed) == page(5, birth: 9))
    #expect(reader.opened(.page, page(5, birth: 99)) != nil, "plain pages are taken while nothing is encrypted")
    #expect(throws: KeyRefusal.self) { try off.rotate(masters(line(1))) { _ in } }
    let on = try keyring(off.table.encoded())
    on.limitPlain(epoch: 100, sequence: 100)
    #expect(on.active == ring.active)
    #expect(Sealer(on, lane: 0).opened(.page, page(5, birth: 99)) != nil)
    #expect(Sealer(on, lane: 0).opened(.page, page(5, birth: 101)) == nil)
    #expect(throws: KeyRefusal.self) { try keyring(nil, "plain\n" + line(1)) }
  }

  /// Tables, key files and pages made of anything are refused, or are what they say; nothing traps.
  @Test func anyBytesAreRefusedWithoutATrap() throws {
    var random = SeededRandom(seed: 31)
    let ring = try keyring()
    let (table, sealer) = (ring.table.encoded(), Sealer(ring, lane: 0))
    let sealed = sealer.sealed(.page, page(5, birth: 9, count: 512))
    let text = Array((line(1) + "# a comment\nplain\n" + line(2)).utf8)
    for _ in 0..<5_000 {
      var bytes =
        random.chance(1, outOf: 2) ? table : (0..<Int(random.below(200))).map { _ in UInt8(random.below(256)) }
      change(&bytes, &random)
      if bytes.count >= 4, random.chance(3, outOf: 4) {
        bytes.replaceSubrange(
          (bytes.count - 4)..., with: withUnsafeBytes(of: crc32c(Array(bytes.dropLast(4)))) { Array($0) })
      }
      if let decoded = try? KeyTable(decoding: bytes) { #expect(decoded.encoded() == bytes) }
      var file = text
      change(&file, &random)
      if let keys = try? MasterKeys(file, mode: 0o600, path: "f") { #expect((1...3).contains(keys.keys.count)) }
      var piece = sealed
      change(&piece, &random)
      for form in [SealedForm.page, .block] {
        let opened = sealer.opened(form, piece)
        #expect(opened == nil || form.keyID(of: piece) == nil || piece == sealed)
      }
    }
  }

  private func change(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
    for _ in 0..<random.below(4) where !bytes.isEmpty {
      let index = Int(random.below(UInt64(bytes.count)))
      switch random.below(4) {
      case 0: bytes[index] = UInt8(random.below(256))
      case 1: bytes.removeSubrange(index..<min(bytes.count, index + Int(random.below(40))))
      case 2: bytes.insert(UInt8(random.below(256)), at: index)
      default: bytes[index] ^= 1 << UInt8(random.below(8))
      }
    }
  }
}
