/// etcd's requests, as far as they are used here (etcdserverpb/rpc.proto).
enum EtcdMessage {
  /// PutRequest: key 1, value 2.
  static func put(_ key: String, _ value: String) -> [UInt8] { Protobuf.field(1, key) + Protobuf.field(2, value) }

  /// RangeRequest of one key; linearizable, as nothing else is said.
  static func range(_ key: String) -> [UInt8] { Protobuf.field(1, key) }

  /// RangeRequest that counts the keys with a prefix: key 1, range_end 2, count_only 9.
  static func count(prefix: String) -> [UInt8] {
    var end = Array(prefix.utf8)
    end[end.count - 1] += 1
    return Protobuf.field(1, prefix) + Protobuf.field(2, end) + Protobuf.field(9, 1)
  }

  /// One put of a TxnRequest: its field success 2 is a RequestOp, whose request_put is 2.
  static func operation(_ key: String, _ value: String) -> [UInt8] {
    Protobuf.field(2, Protobuf.field(2, put(key, value)))
  }
}
