import Node
import Primitives
import Ring
import Transport

extension Server {
  /// The page that Prometheus reads.
  func metricsText() -> [UInt8] {
    var page = Exposition()
    addNode(&page)
    addReplica(&page)
    addStorage(&page)
    addEdge(&page)
    addLinks(&page)
    addProcess(&page)
    return page.bytes
  }

  private func addNode(_ page: inout Exposition) {
    let statistics = node.statistics
    page.gauge("ready", "1 when the node serves.", node.isReady ? 1 : 0)
    page.gauge("failed", "1 when the node gave up after a fault of its disk.", node.failure == nil ? 0 : 1)
    page.counter("requests_total", "Requests that the node took.", statistics.requests)
    page.counter("replies_total", "Requests that the node answered.", statistics.replies)
    page.counter("forwarded_total", "Requests sent on to the leader.", statistics.forwarded)
    page.counter("commands_applied_total", "Commands of clients applied by this replica.", statistics.commandsApplied)
    page.counter(
      "own_commands_applied_total", "Commands of the cluster's own applied: what is dropped, older versions.",
      statistics.ownCommandsApplied)
    page.counter("entries_applied_total", "Log entries applied by this replica.", statistics.entriesApplied)
    page.counter("reads_total", "Reads answered from the applied state.", statistics.reads)
    page.counter("read_rounds_total", "Reads that needed a round of confirmation.", statistics.readRounds)
    page.counter("overloaded_total", "Requests refused by the node for want of room.", statistics.overloaded)
    page.counter("deadlines_missed_total", "Requests whose deadline passed.", statistics.deadlinesMissed)
    page.counter("leader_changes_total", "Times that this node began to lead.", statistics.leaderChanges)
    page.counter("checkpoints_total", "Checkpoints finished.", statistics.checkpoints)
    page.counter("page_misses_total", "Pages that had to be read.", statistics.pageMisses)
    page.counter(
      "payloads_undecodable_total", "Payloads of peers that could not be read.", statistics.payloadsUndecodable)
    page.gauge("requests_waiting", "Requests that wait inside the node.", UInt64(node.waitingRequests))
  }

  private func addReplica(_ page: inout Exposition) {
    guard let replica = node.ownStatus().replicas.first else { return }
    let shard = "shard=\"\(replica.shard.rawValue)\""
    page.gauge(
      "raft_role", "1 for the role that the replica has.",
      by: ["leader", "candidate", "follower"].map { ("\(shard),role=\"\($0)\"", $0 == replica.role ? 1 : 0) })
    page.gauge("raft_term", "Term.", by: [(shard, replica.term.rawValue)])
    page.gauge("raft_commit_index", "Highest committed entry.", by: [(shard, replica.commitIndex.rawValue)])
    page.gauge("raft_applied_index", "Highest applied entry.", by: [(shard, replica.appliedIndex.rawValue)])
    page.gauge("raft_last_index", "Last entry of the log.", by: [(shard, replica.lastIndex.rawValue)])
    page.gauge(
      "raft_held_by_all_index", "Highest entry that every voter holds.", by: [(shard, replica.heldByAll.rawValue)])
    page.gauge("rows", "Rows.", by: [(shard, replica.rows)])
    page.gauge("log_bytes", "Bytes of live log segments.", by: [(shard, replica.logBytes)])
    page.gauge("log_bytes_max", "Cap of the log.", by: [(shard, replica.logBytesMax)])
    page.gauge("log_full", "1 when writes are refused for want of log or disk.", node.shortage == nil ? 0 : 1)
  }

  private func addStorage(_ page: inout Exposition) {
    let journal = node.journalStatistics
    page.counter("journal_blocks_written_total", "Durable log writes.", journal.blocksWritten)
    page.counter("journal_bytes_written_total", "Bytes of log written.", journal.bytesWritten)
    page.counter("journal_records_written_total", "Records of log written.", journal.recordsWritten)
    page.histogram(
      "journal_write_seconds", "Time of durable log writes.", by: "lane", [("0", logFiles.writeTimes)])
    let store = node.storeStatistics
    page.gauge("store_pages", "Pages of the page file up to the highest one in use.", UInt64(store.pages))
    page.gauge("store_pages_live", "Pages of the newest trees.", UInt64(store.livePages))
    page.gauge("store_pages_free", "Pages that can be taken.", UInt64(store.freePages))
    page.gauge("store_pages_resident", "Pages in memory.", UInt64(store.residentPages))
    page.gauge("store_pages_dirty", "Pages changed since the last checkpoint began.", UInt64(store.dirtyPages))
    page.gauge("store_frame_bytes", "Memory for pages.", UInt64(store.frameBytes))
    let nearness = node.frameNearness
    page.gauge("store_memory_looked_at", "Parts of that memory that were looked at.", UInt64(nearness.resident))
    page.gauge("store_memory_near", "Those of them on the processor's own NUMA node.", UInt64(nearness.near))
    let disk = node.diskStatus
    page.gauge("disk_data_bytes", "Pages of the newest trees.", disk.data)
    page.gauge("disk_garbage_bytes", "Pages that only checkpoints still need.", disk.garbage)
    page.gauge("disk_free_bytes", "Free in the page file.", disk.free)
    page.gauge("disk_log_bytes", "All segments of the log.", disk.log)
    page.gauge("disk_limit_bytes", "What both may take (setting disk-limit); 0: no limit.", disk.limit)
    let history = node.totals.history
    page.gauge("history_versions", "Older versions of rows that are kept.", history.records)
    page.gauge("history_bytes", "Their keys and values.", history.bytes)
    page.counter("pages_read_total", "Pages read from the page file.", pageFile.pagesRead)
    page.counter("pages_written_total", "Pages written to the page file.", pageFile.pagesWritten)
    page.gauge("encrypted", "1 when what is written to the disk is encrypted.", encryption?.isSealing ?? false ? 1 : 0)
    page.gauge("data_keys", "Data keys of this directory, in use or older.", encryption?.keyCount ?? 0)
    addCheckpoints(&page)
    addScrubbing(&page)
  }

  private func addScrubbing(_ page: inout Exposition) {
    let statistics = node.statistics
    page.gauge("scrub_running", "1 while a pass reads.", node.scrubStatus.state == .running ? 1 : 0)
    page.counter("scrub_passes_total", "Times that everything on the disk was read again.", statistics.scrubPasses)
    page.counter("scrub_pages_total", "Pages read again and compared.", statistics.scrubbedPages)
    page.counter("scrub_bytes_total", "Bytes of pages and log read again and compared.", statistics.scrubbedBytes)
    page.counter(
      "scrub_skipped_pages_total", "Pages passed over, as they will be written anew.", statistics.scrubSkippedPages)
    page.counter("scrub_damage_total", "Damage found by reading again.", statistics.scrubDamage)
    page.counter("scrub_rewritten_total", "Damaged pages rewritten from memory.", statistics.scrubRewritten)
    page.seconds(
      "scrub_finished_uptime_seconds", "When the last pass ended, as uptime; 0 if none has.", kind: "gauge",
      nanoseconds: uptime(at: node.scrubFinishedAt))
  }

  private func addCheckpoints(_ page: inout Exposition) {
    page.histogram(
      "checkpoint_begin_seconds", "Time of the turns of the loop in which a checkpoint began.", by: "lane",
      [("0", checkpoints.turns)])
    page.histogram(
      "checkpoint_seconds", "Time from a checkpoint's beginning to its end.", by: "lane", [("0", checkpoints.durations)]
    )
    page.seconds(
      "checkpoint_begun_uptime_seconds", "When the newest checkpoint began, as uptime; 0 if none has.", kind: "gauge",
      nanoseconds: uptime(at: checkpoints.begunAt))
    page.seconds(
      "checkpoint_finished_uptime_seconds", "When the newest checkpoint that has ended did, as uptime; 0 if none has.",
      kind: "gauge", nanoseconds: uptime(at: checkpoints.finishedAt))
  }

  private func uptime(at moment: Instant?) -> UInt64 { moment.map { ($0 - startedAt).rawValue } ?? 0 }

  private func addEdge(_ page: inout Exposition) {
    let counters = clients.counters
    page.gauge("connections", "Open connections.", UInt64(clients.count))
    page.counter("connections_accepted_total", "Connections accepted.", counters.accepted)
    page.counter("connections_refused_total", "Connections refused for want of room.", counters.refused)
    page.counter("received_bytes_total", "Bytes received on accepted connections.", counters.bytesReceived)
    page.counter("sent_bytes_total", "Bytes sent on accepted connections.", counters.bytesSent)
    page.counter(
      "handshake_failures_total", "TLS handshakes that failed.", by: "cause",
      zip(TLSFailure.Cause.allCases, counters.handshakeFailures).map { ($0.rawValue, $1) })
    page.counter(
      "connections_cut_total", "Connections cut off for taking too long.", by: "phase",
      [("handshake", counters.handshakesTimedOut), ("output", counters.stalled)])
    page.counter("uploads_cut_total", "Requests that did not end in time.", counters.uploadsTimedOut)
    page.counter(
      "http_responses_total", "Answers by class of status.", by: "class",
      (2...5).map { ("\($0)xx", counters.answers[$0]) })
    page.counter("http_overloaded_total", "Answers 429.", counters.overloaded)
    page.counter("http_probes_total", "Requests of /healthz, /readyz and /metrics.", counters.probes)
    page.counter("tokens_verified_total", "Signatures of tokens checked.", clients.authenticator.tokensVerified)
    page.gauge("http_requests_pending", "Requests that wait for the node.", UInt64(clients.pending.count))
    page.gauge("connection_bytes", "Memory that connections hold, about.", UInt64(clients.heldBytes))
    page.gauge("http_waiting_bytes", "Bytes of answers that clients have not taken.", UInt64(clients.waitingBytes))
    page.histogram(
      "http_request_seconds", "Time from a request's head to its reply.", by: "kind",
      RequestKind.allCases.map { ($0.name, counters.latencies[Int($0.rawValue)]) })
  }

  private func addLinks(_ page: inout Exposition) {
    page.gauge(
      "links_open", "1 when the link to the peer is open.", by: links.map { ("peer=\"\($0.peer)\"", $0.isOpen ? 1 : 0) }
    )
    page.counter(
      "link_opens_total", "Times that the link was opened.", by: "peer", links.map { ("\($0.peer)", $0.opens) })
    page.counter(
      "link_payloads_dropped_total", "Payloads dropped because too much waited.", by: "peer",
      links.map { ("\($0.peer)", $0.dropped) })
    page.counter(
      "link_payloads_sent_total", "Payloads sent.", by: "peer", links.map { ("\($0.peer)", $0.sentPayloads) })
    page.counter("peers_refused_total", "Connections of peers that were refused.", arrivals.refused)
  }

  private func addProcess(_ page: inout Exposition) {
    let usage = ProcessUsage()
    page.gauge("process_resident_memory_bytes", "Memory in use.", usage.residentBytes)
    let budget = memoryBudget
    page.gauge("memory_budget_bytes", "What the process may use of memory.", budget.bytes(pages: node.pageTableEntries))
    page.gauge(
      "memory_budget_part_bytes", "The parts of that.",
      by: budget.parts(pages: node.pageTableEntries).map { ("part=\"\($0.name)\"", $0.bytes) })
    let heap = Allocator.usage
    page.gauge("heap_bytes", "What the allocator has from the system; pages have memory of their own.", heap.bytes)
    page.gauge("heap_free_bytes", "Of that, what nobody uses.", heap.freeBytes)
    page.gauge("process_virtual_memory_bytes", "Address space in use.", usage.virtualBytes)
    page.gauge("process_open_fds", "Open descriptors.", usage.openDescriptors)
    page.gauge("process_max_fds", "Limit of open descriptors.", usage.descriptorsMax)
    page.seconds("process_cpu_seconds_total", "Processor time.", nanoseconds: usage.cpuNanoseconds)
    page.seconds(
      "uptime_seconds", "Time since the start.", kind: "gauge", nanoseconds: (ring.now() - startedAt).rawValue)
    page.counter("loop_turns_total", "Turns of the loop.", turns)
    page.seconds(
      "loop_poll_seconds_total", "Time that the loop polled before it slept (setting busy-poll).",
      nanoseconds: ring.polled.rawValue)
  }
}
