import Logging
import Primitives
import Ring
import Sealing
import Store

/// Encryption at rest of one data directory: its file `keys`, the operator's file, and the sealer that both files of the lane
/// use. There is none where the setting `encryption-key-file` is not set, and then nothing costs anything.
package final class Encryption {
  let sealer: Sealer
  private let keyFile: String
  private let path: String

  /// Reads both files; changes nothing. Nil when nothing is encrypted and nothing is to be.
  init?(_ keyFile: String?, data: String, identity: StoreIdentity) throws(StartRefusal) {
    path = data + "/keys"
    let exists = FileSystem.exists(path)
    guard let keyFile else {
      guard exists else { return nil }
      throw StartRefusal(
        "data directory \(data): it is encrypted (it holds `keys`): name the file with its master key by the setting "
          + "encryption-key-file")
    }
    self.keyFile = keyFile
    do throws(KeyRefusal) {
      let masters = try Self.readMasters(keyFile)
      let keyring = try Keyring(
        exists ? try Self.read(path) : nil, masters: masters, directory: identity.directory, path: path,
        keyFile: keyFile)
      sealer = Sealer(keyring, lane: identity.lane.rawValue)
    } catch { throw StartRefusal("encryption-key-file: \(error)") }
  }

  private static func readMasters(_ keyFile: String) throws(KeyRefusal) -> MasterKeys {
    guard FileSystem.exists(keyFile) else {
      throw KeyRefusal(
        "there is no file \(keyFile): put the master key back, or make one for a directory that is not encrypted yet by "
          + "`(umask 077; openssl rand -hex 32 > \(keyFile))`")
    }
    let (text, mode): ([UInt8], UInt32)
    do throws(SystemError) {
      (text, mode) = (try FileSystem.read(keyFile, limit: 64 << 10), try FileSystem.mode(keyFile))
    } catch { throw KeyRefusal("\(error)") }
    return try MasterKeys(text, mode: mode, path: keyFile)
  }

  private static func read(_ path: String) throws(KeyRefusal) -> [UInt8] {
    do throws(SystemError) { return try FileSystem.read(path, limit: 1 << 20) } catch { throw KeyRefusal("\(error)") }
  }

  /// Where the plain part of the directory ends: at what was durable when it was opened. Makes the keys durable; before that
  /// nothing may be written.
  func begin(epoch: Epoch, sequence: UInt64) throws(StartRefusal) {
    let keyring = sealer.keyring
    keyring.limitPlain(epoch: epoch.rawValue, sequence: sequence)
    guard keyring.isChanged else { return }
    do throws(KeyRefusal) { try write(keyring.table.encoded()) } catch { throw StartRefusal("\(error)") }
    keyring.wasWritten()
  }

  /// Reads the operator's file again, wraps all data keys by its first key, and begins a new data key. The old ones stay for
  /// what they encrypted. Nothing is changed when it is refused. The process waits for the disk meanwhile, some milliseconds.
  func rotate() throws(KeyRefusal) {
    try sealer.keyring.rotate(try Self.readMasters(keyFile)) { (table) throws(KeyRefusal) in try write(table) }
  }

  private func write(_ table: [UInt8]) throws(KeyRefusal) {
    do throws(SystemError) { try FileSystem.replace(path, with: table) } catch { throw KeyRefusal("\(error)") }
  }

  var isSealing: Bool { sealer.isSealing }
  var keyCount: UInt64 { UInt64(sealer.keyring.table.keys.count) }

  /// For people: which keys are in use.
  var metadata: Logger.Metadata {
    let table = sealer.keyring.table
    return [
      "data-key": "\(sealer.keyring.active.map { keyName($0) } ?? "none, what is written is plain")",
      "data-keys": "\(table.keys.count)", "master-key": "\(table.keys.last.map { keyName($0.master) } ?? "")",
    ]
  }
}
