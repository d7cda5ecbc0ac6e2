import FileStoreClient
import Tables

/// What the command line says about an import.
struct ImportSettings {
  /// Below the server's limit of 1 MiB a batch, with room for its frame.
  static let batchBytesMax = 900_000

  var table: String
  /// Requests in flight.
  var writers: Int
  /// Rows a request.
  var batch: Int
  /// For one request with all its repeats: longer than any failover.
  var patienceMilliseconds: UInt32 = 60_000
  /// Size of the file; nil for a pipe.
  var fileBytes: UInt64?

  /// So far the writers may be ahead of the slowest of them.
  var windowRows: Int { writers * batch * 4 + 4096 }
}

extension ClientProblem {
  /// Whether another row may succeed where this one was refused.
  var isAboutRow: Bool {
    guard retry == .never else { return false }
    switch code {
    case "invalid-json", "invalid-key", "invalid-row", "unknown-column", "type-mismatch", "too-large": return true
    default: return false
    }
  }
}

/// `{"results":[{"status":201,"etag":"…"},…]}`
enum BatchAnswer {
  static func etags(_ body: [UInt8]) -> [String?] {
    guard case .object(let members)? = try? JSONValue.parse(body),
      case .array(let results)? = members.first(where: { $0.name == "results" })?.value
    else { return [] }
    return results.map { result in
      guard case .object(let fields) = result,
        case .string(let etag)? = fields.first(where: { $0.name == "etag" })?.value
      else { return nil }
      return etag
    }
  }
}
