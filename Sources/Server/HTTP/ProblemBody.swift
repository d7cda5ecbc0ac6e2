import Node

/// Writes a problem as application/problem+json (RFC 9457).
///
///     {"type":"urn:filestore:row-not-found","title":"There is no such row","status":404,"detail":"…","code":"row-not-found",
///      "retry":"never","table":"packages","key":"bash","request_id":"n1-5-17"}
package func problemBody(_ problem: Problem, requestID: String, leaderAddress: String? = nil) -> [UInt8] {
  var json = JSONObjectWriter()
  json.add("type", "urn:filestore:\(problem.code.name)")
  json.add("title", problem.code.title)
  json.add("status", UInt64(problem.code.status))
  json.add("detail", problem.detail)
  json.add("code", problem.code.name)
  json.add("retry", problem.retry.name)
  if let leader = problem.leader {
    json.add("leader", leader)
    if let leaderAddress { json.add("leader_address", leaderAddress) }
  }
  if let table = problem.table { json.add("table", table) }
  if let key = problem.key { json.add("key", key) }
  if let operation = problem.operation { json.add("operation", UInt64(operation)) }
  if let etag = problem.currentETag { json.add("current_etag", etag.description) }
  json.add("request_id", requestID)
  return json.finish()
}
