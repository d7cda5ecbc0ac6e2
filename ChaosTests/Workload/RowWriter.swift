import FileStoreClient
import Primitives

/// Puts one new row after the other, each under a key of its own with a value that no other row has. A put may be
/// repeated, as an import would: the same row twice is the same row.
struct RowWriter: Sendable {
  let cluster: LocalCluster
  let scenario: String
  let number: Int

  /// `kill-3-41`: writer 3's row 41 of the scenario.
  static func key(_ scenario: String, _ value: UInt64) -> String {
    "\(scenario)-\(value >> 40)-\(value & 0xFF_FFFF_FFFF)"
  }

  func run(_ crew: Crew) -> Log {
    var log = Log()
    do throws(ChaosError) {
      let client = try cluster.client(first: number)
      var value = UInt64(number) << 40
      while !crew.isStopping {
        value += 1
        write(value, client, crew, &log)
      }
    } catch { log.surprises.append(error.message) }
    return log
  }

  private func write(_ value: UInt64, _ client: Client, _ crew: Crew, _ log: inout Log) {
    let request = ChaosTable.put(Self.key(scenario, value), value, mayRepeat: true)
    let begun = Clock.now()
    let ending = Ending(Result { () throws(ClientError) in try client.send(request) })
    switch ending {
    case .answered(let response) where response.isSuccess && response.version != nil:
      log.acknowledged.append(Span(begun: begun, ended: Clock.now()))
      log.rows.append(RowRecord(value: value, outcome: .acknowledged(response.version ?? .zero)))
      crew.countAcknowledgement()
    case .answered(let response):
      log.surprises.append("a put without a condition was answered with \(response.status)")
      log.rows.append(RowRecord(value: value, outcome: .unknown))
    case .notExecuted(let reason):
      log.rows.append(RowRecord(value: value, outcome: .notExecuted))
      log.trouble("not executed: \(reason)")
    case .unknown(let reason):
      log.rows.append(RowRecord(value: value, outcome: .unknown))
      log.trouble("unknown: \(reason)")
    case .surprising(let reason):
      log.rows.append(RowRecord(value: value, outcome: .unknown))
      log.surprises.append(reason)
    }
  }
}
