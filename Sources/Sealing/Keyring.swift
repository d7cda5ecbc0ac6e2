import Primitives

/// A directory's data keys, unwrapped, and the table they came from.
///
/// Changes are made to the table in memory; the owner writes `table.encoded()` durably before anything is sealed under it.
package final class Keyring {
  package private(set) var table: KeyTable
  private(set) var secrets: [SecretKey]
  /// The table is not what was read.
  package private(set) var isChanged: Bool
  private let random: (Int) -> [UInt8]

  /// - Parameters:
  ///   - bytes: of the file `keys`; nil where there is none, which makes a table with a new key.
  ///   - directory: whose table it must be; nil: whosever it is.
  ///   - path: names that file in refusals, `keyFile` the file of master keys.
  package init(
    _ bytes: [UInt8]?, masters: MasterKeys, directory: UInt64?, path: String, keyFile: String,
    random: @escaping (Int) -> [UInt8] = randomBytes
  ) throws(KeyRefusal) {
    self.random = random
    guard let bytes else {
      guard !masters.isPlain else {
        throw KeyRefusal(
          "\(keyFile) begins with `plain`, but nothing is encrypted here: leave the setting encryption-key-file out")
      }
      (table, secrets, isChanged) = (KeyTable(directory: directory ?? 0), [], true)
      try addKey(masters)
      return
    }
    let found: KeyTable
    do throws(DecodeError) { found = try KeyTable(decoding: bytes) } catch {
      throw KeyRefusal("\(path) cannot be read: \(error.message). Restore it from a copy; without it the data is lost")
    }
    guard directory == nil || found.directory == directory else {
      throw KeyRefusal("\(path) belongs to another data directory: restore this directory's own")
    }
    (table, secrets, isChanged) = (found, [], false)
    secrets = try Self.unwrap(found, masters, path: path, keyFile: keyFile)
    adopt(masters)
  }

  private static func unwrap(
    _ table: KeyTable, _ masters: MasterKeys, path: String, keyFile: String
  ) throws(KeyRefusal) -> [SecretKey] {
    var secrets: [SecretKey] = []
    for key in table.keys {
      guard let master = masters.keys.first(where: { $0.id == key.master }) else {
        throw KeyRefusal(
          "the data key \(keyName(key.id)) is wrapped by the master key \(keyName(key.master)), which is not in \(keyFile) "
            + "(there: \(masters.keys.map { keyName($0.id) }.joined(separator: ", "))): add it as a further line")
      }
      guard let secret = table.unwrap(key, by: master) else {
        throw KeyRefusal("\(path): the data key \(keyName(key.id)) is damaged. Restore the file from a copy")
      }
      secrets.append(secret)
    }
    return secrets
  }

  /// What is sealed from now on is sealed under this key; nil when it is to be plain.
  package var active: UInt32? { table.isPlain ? nil : table.keys.last?.id }

  func secret(_ id: UInt32) -> SecretKey? { table.keys.lastIndex { $0.id == id }.map { secrets[$0] } }

  /// Follows the file of master keys: wraps all data keys by its first one, switches encryption on or off.
  private func adopt(_ masters: MasterKeys) {
    if masters.isPlain != table.isPlain {
      table.isPlain = masters.isPlain
      // Until `limitPlain` says where the last plain page and block are.
      (table.plainEpoch, table.plainSequence) = (.max, .max)
      isChanged = true
    }
    guard let first = masters.keys.first, table.keys.contains(where: { $0.master != first.id }) else { return }
    for (index, key) in table.keys.enumerated() {
      table.keys[index] = table.wrap(secrets[index], id: key.id, by: first, nonce: random(SealedForm.nonceBytes))
    }
    isChanged = true
  }

  /// Takes up the file of master keys again, and a new data key for what is sealed from now on. `write` makes the encoded table
  /// durable; when it cannot, everything stays as it was.
  package func rotate(
    _ masters: MasterKeys, write: ([UInt8]) throws(KeyRefusal) -> Void
  ) throws(KeyRefusal) {
    guard masters.isPlain == table.isPlain else {
      throw KeyRefusal("encryption is switched on or off at a start: restart the node")
    }
    let before = (table, secrets, isChanged)
    do throws(KeyRefusal) {
      adopt(masters)
      if !table.isPlain { try addKey(masters) }
      try write(table.encoded())
      isChanged = false
    } catch {
      (table, secrets, isChanged) = before
      throw error
    }
  }

  private func addKey(_ masters: MasterKeys) throws(KeyRefusal) {
    guard table.keys.count < KeyTable.countMax else {
      throw KeyRefusal("\(KeyTable.countMax) data keys are in use, which is the most there can be")
    }
    guard let master = masters.keys.first, let secret = random(SecretKey.count).withUnsafeBytes({ SecretKey($0) })
    else { preconditionFailure("a file of master keys has one, and 32 random bytes are a key") }
    var id: UInt32 = 0
    while id == 0 || table.keys.contains(where: { $0.id == id }) {
      id = random(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
    table.keys.append(table.wrap(secret, id: id, by: master, nonce: random(SealedForm.nonceBytes)))
    secrets.append(secret)
    isChanged = true
  }

  /// Nothing younger is taken when it is plain. Once, when encryption begins; what is there then is of no importance later.
  package func limitPlain(epoch: UInt64, sequence: UInt64) {
    guard !table.isPlain, table.plainEpoch == .max else { return }
    (table.plainEpoch, table.plainSequence) = (epoch, sequence)
    isChanged = true
  }

  /// The table as it is now is durable.
  package func wasWritten() { isChanged = false }
}
