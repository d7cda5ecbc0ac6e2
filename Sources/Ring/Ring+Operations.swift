import CLinux
import CURing
import Glibc
import Primitives

// The operations. Each returns at once; its completion carries `token`. See `Ring` for who owns a buffer meanwhile.

extension Ring {
  // MARK: sockets

  /// Accepts connections, many times where the kernel can (`isMore`); each result is a descriptor (close-on-exec; options
  /// such as TCP_NODELAY come from the listener). Without `isMore`: accept again.
  package func accept(on listener: Int32, token: UInt64) {
    guard let entry = entry(.accept, listener, token) else { return }
    let flags = fs_sock_cloexec
    if acceptsMany {
      io_uring_prep_multishot_accept(entry, listener, nil, nil, flags)
    } else {
      io_uring_prep_accept(entry, listener, nil, nil, flags)
    }
    entry.pointee.user_data = token
  }

  /// Connects a socket; result 0. Submitted at once, so that the address need not live on.
  package func connect(_ socket: Int32, to address: SocketAddress, token: UInt64) {
    guard let entry = entry(.connect, socket, token) else { return }
    address.withPointer { pointer, count in
      io_uring_prep_connect(entry, socket, pointer, count)
      entry.pointee.user_data = token
      submit()
    }
  }

  /// Receives what has come, up to the buffer's size; result 0: the peer has ended. `expectingNothing` when the last
  /// receive emptied the socket: the kernel then waits before it looks, instead of looking twice.
  package func receive(
    _ socket: Int32, into buffer: UnsafeMutableRawBufferPointer, expectingNothing: Bool = false, token: UInt64
  ) {
    guard let entry = entry(.receive, socket, token, buffer.count) else { return }
    io_uring_prep_recv(entry, socket, buffer.baseAddress, buffer.count, 0)
    if expectingNothing, isDeferred { entry.pointee.ioprio |= Ring.pollFirst }
    entry.pointee.user_data = token
  }

  /// Sends what the socket takes at once, without a completion: the count, 0 when it takes nothing now or has failed.
  /// Whatever is left is for `send`, which waits, and tells of a failure. Costs no turn of the loop, as a completion does.
  package func sendNow(_ socket: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    if faults != nil { return 0 }
    return max(0, Glibc.send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)))
  }

  /// Sends all of the bytes; a smaller count than asked comes only with an error or a timeout of the connection.
  package func send(_ socket: Int32, _ bytes: UnsafeRawBufferPointer, token: UInt64) {
    guard let entry = entry(.send, socket, token, bytes.count) else { return }
    io_uring_prep_send(
      entry, socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_WAITALL))
    entry.pointee.user_data = token
  }

  /// Ends sending (and receiving, with `both`): pending receives complete with 0.
  package func shutdown(_ socket: Int32, both: Bool, token: UInt64 = Ring.ownToken) {
    guard let entry = entry(.shutdown, socket, token) else { return }
    io_uring_prep_shutdown(entry, socket, Int32(both ? SHUT_RDWR : SHUT_WR))
    entry.pointee.user_data = token
  }

  package func close(_ descriptor: Int32, token: UInt64 = Ring.ownToken) {
    guard let entry = entry(.close, descriptor, token) else { return }
    io_uring_prep_close(entry, descriptor)
    entry.pointee.user_data = token
  }

  // MARK: files

  /// Reads at `offset` of a file; `offset` nil reads a stream (signalfd, eventfd, pipe).
  package func read(_ file: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64?, token: UInt64) {
    guard let entry = entry(.read, file, token, buffer.count) else { return }
    io_uring_prep_read(entry, file, buffer.baseAddress, UInt32(buffer.count), offset ?? .max)
    entry.pointee.user_data = token
  }

  /// Writes at `offset`. With O_DIRECT buffer, count and offset are multiples of the disk's alignment. The count may be
  /// short when the disk is full: the caller goes on behind it, and learns the error then.
  package func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64, token: UInt64) {
    guard let entry = entry(.write, file, token, bytes.count) else { return }
    io_uring_prep_write(entry, file, bytes.baseAddress, UInt32(bytes.count), offset)
    entry.pointee.user_data = token
  }

  /// fdatasync, or fsync with `metadata`. Covers writes that had *completed* when it was submitted.
  package func synchronize(_ file: Int32, metadata: Bool = false, token: UInt64) {
    guard let entry = entry(.synchronize, file, token) else { return }
    io_uring_prep_fsync(entry, file, metadata ? 0 : IORING_FSYNC_DATASYNC)
    entry.pointee.user_data = token
  }

  /// Reserves disk space (fallocate), growing the file; the blocks read as zeros.
  package func allocate(_ file: Int32, from offset: UInt64, count: UInt64, token: UInt64) {
    guard let entry = entry(.allocate, file, token, Int(count)) else { return }
    io_uring_prep_fallocate(entry, file, 0, __off_t(offset), __off_t(count))
    entry.pointee.user_data = token
  }

  // MARK: the rest

  /// Completes once when the descriptor is readable; result: the poll mask.
  package func pollReadable(_ descriptor: Int32, token: UInt64) {
    guard let entry = entry(.poll, descriptor, token) else { return }
    io_uring_prep_poll_add(entry, descriptor, UInt32(POLLIN))
    entry.pointee.user_data = token
  }

  /// Completes with `-ETIME` at `moment`. (One deadline needs none: `wait(until:)`.)
  package func timeout(at moment: Instant, token: UInt64) {
    guard let entry = entry(.timeout, -1, token) else { return }
    let time = times + nextTime
    nextTime = (nextTime + 1) % entries
    time.pointee.tv_sec = Int64(clamping: moment.nanoseconds / 1_000_000_000)
    time.pointee.tv_nsec = Int64(moment.nanoseconds % 1_000_000_000)
    io_uring_prep_timeout(entry, time, 0, IORING_TIMEOUT_ABS | IORING_TIMEOUT_BOOTTIME)
    entry.pointee.user_data = token
  }

  /// madvise of memory that the process has: `advice` is the kernel's number. Done by a worker of the kernel's.
  package func advise(_ memory: UnsafeMutableRawPointer, _ count: Int, _ advice: Int32, token: UInt64) {
    guard let entry = entry(.advise, -1, token, count) else { return }
    io_uring_prep_madvise(entry, memory, off_t(count), advice)
    entry.pointee.user_data = token
  }

  /// Asks to end the operation with the token `target`; that one completes in any case. This one shows no completion.
  package func cancel(_ target: UInt64) {
    guard let entry = entry(.cancel, -1, Ring.ownToken) else { return }
    io_uring_prep_cancel64(entry, target, 0)
    entry.pointee.user_data = Ring.ownToken
  }

  /// Asks to end all operations on a descriptor; each completes in any case.
  package func cancelAll(on descriptor: Int32) {
    guard let entry = entry(.cancel, descriptor, Ring.ownToken) else { return }
    io_uring_prep_cancel_fd(entry, descriptor, IORING_ASYNC_CANCEL_ALL)
    entry.pointee.user_data = Ring.ownToken
  }

  // MARK: entries

  /// A free submission entry; a full queue is submitted first. Nil when the fault layer took the operation.
  private func entry(
    _ operation: RingOperation, _ descriptor: Int32, _ token: UInt64, _ count: Int = 0
  ) -> UnsafeMutablePointer<io_uring_sqe>? {
    if let faults, let result = faults.decide(operation, descriptor: descriptor, token: token, count: count) {
      if token != Ring.ownToken { held.append(Completion(token: token, result: result, flags: 0)) }
      return nil
    }
    if let entry = io_uring_get_sqe(ring) { return entry }
    while true {
      submit()
      if let entry = io_uring_get_sqe(ring) { return entry }
      holdCompletions()
    }
  }

  /// Hands the entries to the kernel without waiting. `wait` does it too.
  package func submit() {
    let code = io_uring_submit(ring)
    precondition(
      code >= 0 || code == -EBUSY || code == -EAGAIN || code == -EINTR,
      "the kernel takes submissions from the thread that made the ring")
  }
}
