/// `GET /v1/cluster`
struct ClusterAnswer: Codable, Equatable {
  var name: String
  var id: String
  var version: String
  /// `ok`, `degraded` or `down`.
  var health: String
  var failuresTolerated: Int
  /// What limits now, in words.
  var limits: [String]

  enum CodingKeys: String, CodingKey {
    case name, id, version, health, limits
    case failuresTolerated = "failures_tolerated"
  }
}

/// `GET /v1/nodes`
struct NodeList: Codable, Equatable {
  struct Node: Codable, Equatable {
    var id: String
    var address: String
    var version: String?
    /// `up`, `draining`, `failed`; `down` when it did not answer.
    var state: String
    var replicas: [Replica]
    /// Nil when it did not answer.
    var disk: Disk?
    /// Nil when it did not answer.
    var scrub: Scrub?
    /// Nil when it did not answer.
    var memory: Memory?
  }

  /// How far a node has read its disk again.
  struct Scrub: Codable, Equatable {
    /// `off`, `waiting` for the next pass, `running`.
    var state: String
    /// Of the pass that is running.
    var percent: UInt64?
    /// Since the node's start.
    var passes: UInt64
    var finishedSecondsAgo: UInt64?
    var damageFound: UInt64
    var damageRewritten: UInt64

    enum CodingKeys: String, CodingKey {
      case state, percent, passes
      case finishedSecondsAgo = "finished_seconds_ago"
      case damageFound = "damage_found"
      case damageRewritten = "damage_rewritten"
    }
  }

  /// Bytes of a node's memory.
  struct Memory: Codable, Equatable {
    var resident: UInt64
    var budget: UInt64

    enum CodingKeys: String, CodingKey {
      case resident = "resident_bytes"
      case budget = "budget_bytes"
    }
  }

  /// Bytes on a node's disk.
  struct Disk: Codable, Equatable {
    var data: UInt64
    var garbage: UInt64
    var free: UInt64
    var log: UInt64
    /// Nil: no limit.
    var limit: UInt64?

    enum CodingKeys: String, CodingKey {
      case data = "data_bytes"
      case garbage = "garbage_bytes"
      case free = "free_bytes"
      case log = "log_bytes"
      case limit = "limit_bytes"
    }
  }

  struct Replica: Codable, Equatable {
    var shard: UInt64
    var role: String
    var term: UInt64
    var commitIndex: UInt64
    var appliedIndex: UInt64
    /// Of the stored state at `appliedIndex`.
    var stateHash: String?
    var rows: UInt64?
    /// Of log that are kept, and may be.
    var logBytes: UInt64?
    var logBytesMax: UInt64?

    enum CodingKeys: String, CodingKey {
      case shard, role, term, rows
      case logBytes = "log_bytes"
      case logBytesMax = "log_bytes_max"
      case commitIndex = "commit_index"
      case appliedIndex = "applied_index"
      case stateHash = "state_hash"
    }
  }

  var nodes: [Node]

  /// Of several that call themselves so, the one of the highest term.
  func leader(of shard: UInt64) -> (node: Node, replica: Replica)? {
    var best: (node: Node, replica: Replica)?
    for node in nodes {
      for replica in node.replicas where replica.shard == shard && replica.role == "leader" {
        if replica.term > best?.replica.term ?? 0 { best = (node, replica) }
      }
    }
    return best
  }
}
