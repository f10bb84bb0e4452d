// A connection's received bytes as a PipeReader. On the core's thread a result shows the ring's own blocks; a reader on another thread
// gets a copy that the core made for it, because the ring may change under it. Bytes that a reader keeps unread beyond a limit are
// moved out of the ring too, else the window would close before the message that it waits for is complete.
//
// Who owns what: between a result and AdvanceTo the list of segments belongs to the reader; while a read is pending it belongs to the core.
using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Peregrine.Core.Tcp;

namespace Peregrine.Sockets;

internal sealed class TcpPipeReader : PipeReader
{
    /// <summary>Unread and examined bytes in the ring beyond which they are copied out of it.</summary>
    internal const int SpillBytes = 32 * 1024;

    private readonly TcpConnection _connection;
    private readonly SocketEngine _engine;
    private readonly ReadOperation _operation;
    private RingSegment? _first;
    private RingSegment? _last;
    private long _ownedBytes;
    private long _examined;
    private int _toConsume;
    private int _cancelNext;
    private int _shownBytes;
    private int _news = 1;
    private bool _isReading;
    private bool _isCompleted;

    internal TcpPipeReader(TcpConnection connection)
    {
        _connection = connection;
        _engine = connection.Engine;
        _operation = new ReadOperation(this);
    }

    private enum Source
    {
        Ring,
        Copy,
    }

    /// <summary>Whether a result is out that may show the ring.</summary>
    internal bool IsReading => Volatile.Read(ref _isReading);

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfCompleted();
        ThrowIfReading();
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<ReadResult>(cancellationToken);
        var here = _engine.IsCurrent;
        if (here)
        {
            if (TryBuild(Source.Ring, out var result, out var error)) return error == SocketError.Success ? new(result) : Failed(error);
        }
        else if (TryBuildOwned(out var owned))
        {
            return new(owned);
        }
        _operation.Claim(throwsIO: true);
        _operation.Source = here ? Source.Ring : Source.Copy;
        var pending = _operation.AsValueTask();
        _operation.Start(cancellationToken);
        if (!here) AskIfNeeded();
        return pending;
    }

    public override bool TryRead(out ReadResult result)
    {
        ThrowIfCompleted();
        ThrowIfReading();
        SocketError error;
        bool built;
        if (_engine.IsCurrent)
        {
            built = TryBuild(Source.Ring, out result, out error);
        }
        else if (TryBuildOwned(out result))
        {
            return true;
        }
        else
        {
            (built, result, error) = _engine.Run(() => (TryBuild(Source.Copy, out var r, out var e), r, e));
        }
        if (built && error != SocketError.Success) throw SocketErrors.Make(OperationFault.Socket, error, io: true);
        return built;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        ThrowIfCompleted();
        if (!_isReading) throw new InvalidOperationException("AdvanceTo belongs after a read: there is no result to advance in.");
        var (consumedBytes, examinedBytes) = (Offset(consumed), Offset(examined));
        if (examinedBytes < consumedBytes) throw new InvalidOperationException("The examined position must not be before the consumed position.");
        _isReading = false;
        // Bytes that were examined once are not announced again, even if a later call (after a cancelled read) examined fewer: as a Pipe has it.
        _examined = Math.Max(examinedBytes, _examined) - consumedBytes;
        Consume(consumedBytes);
    }

    public override void CancelPendingRead()
    {
        Volatile.Write(ref _cancelNext, 1);
        if (_engine.IsCurrent) _operation.Attempt();
        else _connection.Post(EngineCommandKind.Pipes);
    }

    public override void Complete(Exception? exception = null)
    {
        if (_isCompleted) return;
        _isCompleted = true;
        _isReading = false;
        if (_engine.IsCurrent) Finish();
        else _connection.Post(EngineCommandKind.Pipes);
    }

    /// <summary>Bytes have come, or the end. On the core's thread.</summary>
    internal void OnNews()
    {
        // Whoever reads next off the core finds the mark, or is found here: both look after a fence.
        Volatile.Write(ref _news, 1);
        Interlocked.MemoryBarrier();
        OnCore();
    }

    /// <summary>A thread that is not the core's has consumed, cancelled, completed, or waits. On the core's thread.</summary>
    internal void OnCore()
    {
        ApplyConsumed();
        if (_isCompleted) Finish();
        else _operation.Attempt();
    }

    internal void Fail(SocketError error) => _operation.Fail(OperationFault.Socket, error);

    /// <summary>The connection has been closed: runs in the ring are no longer ours to touch.</summary>
    internal void OnClosed() => _toConsume = 0;

    private static long Offset(SequencePosition position) =>
        position.GetObject() is RingSegment segment ? segment.RunningIndex + position.GetInteger() : 0;

    private static ValueTask<ReadResult> Failed(SocketError error) => SocketErrors.Fail<ReadResult>(OperationFault.Socket, error, io: true);

    /// <summary>A read off the core waits now. The core is asked only if it may have something: all that comes later makes it look anyhow.</summary>
    private void AskIfNeeded()
    {
        Interlocked.MemoryBarrier();
        if (_shownBytes > 0 || Volatile.Read(ref _news) != 0 || Volatile.Read(ref _cancelNext) != 0) _connection.Ask(EngineCommandKind.Pipes, _operation);
        else if (_connection.IsDisposed) _operation.Fail(OperationFault.Socket, SocketError.OperationAborted);
    }

    private void Consume(long count)
    {
        while (count > 0 && _first is { IsOwned: true } segment)
        {
            if (count < segment.Length)
            {
                segment.Skip((int)count);
                _ownedBytes -= count;
                return;
            }
            count -= segment.Length;
            _ownedBytes -= segment.Length;
            _first = segment.NextSegment;
            _engine.Segments.Return(segment);
        }
        if (_first == null) _last = null;
        if (count == 0) return;
        _shownBytes -= (int)count;
        Interlocked.Add(ref _toConsume, (int)count);
        if (_engine.IsCurrent) ApplyConsumed();
        else _connection.Post(EngineCommandKind.Pipes);
    }

    private void ApplyConsumed()
    {
        if (_toConsume == 0) return;
        var count = Interlocked.Exchange(ref _toConsume, 0);
        if (count > 0 && !_connection.IsReleased) _engine.Tcp.Consume(_connection.Handle, count, _engine.Now);
    }

    /// <summary>Makes a result of what there is, if there is more than was examined or nothing more will come. On the core's thread.</summary>
    private bool TryBuild(Source source, out ReadResult result, out SocketError error)
    {
        (result, error) = (default, SocketError.Success);
        ApplyConsumed();
        if (_connection.IsDisposed)
        {
            error = SocketError.OperationAborted;
            return true;
        }
        var readable = _engine.Tcp.GetStatus(_connection.Handle).ReadableBytes;
        var failed = _connection.Error != SocketError.Success;
        if (failed && readable + _ownedBytes <= _examined)
        {
            error = _connection.Error;
            return true;
        }
        // What came before a reset can still be read; it is no complete stream.
        var ended = _connection.IsReceiveEnded && !failed;
        Volatile.Write(ref _news, ended || failed ? 1 : 0);
        var canceled = Volatile.Read(ref _cancelNext) != 0 && Interlocked.Exchange(ref _cancelNext, 0) != 0;
        if (!canceled && !ended && readable + _ownedBytes <= _examined)
        {
            if (readable >= SpillBytes) CopyOut(readable);
            return false;
        }
        if (source == Source.Copy && readable > 0) CopyOut(readable);
        _shownBytes = source == Source.Ring ? readable : 0;
        result = new ReadResult(Build(source == Source.Ring && readable > 0), canceled, ended);
        _isReading = true;
        return true;
    }

    /// <summary>Off the core: a result of copied bytes alone, if some of them have not been examined.</summary>
    private bool TryBuildOwned(out ReadResult result)
    {
        result = default;
        if (_ownedBytes <= _examined || Volatile.Read(ref _cancelNext) != 0) return false;
        DropShown();
        result = new ReadResult(Build(withRing: false), isCanceled: false, isCompleted: false);
        _isReading = true;
        return true;
    }

    private ReadOnlySequence<byte> Build(bool withRing)
    {
        DropShown();
        if (withRing) ShowRing();
        if (_first == null) return ReadOnlySequence<byte>.Empty;
        var index = 0L;
        for (var segment = _first; segment != null; segment = segment.NextSegment)
        {
            segment.Place(index);
            index += segment.Length;
        }
        return new ReadOnlySequence<byte>(_first, 0, _last!, _last!.Length);
    }

    /// <summary>Lets go of the segments that show the ring; the owned ones before them stay.</summary>
    private void DropShown()
    {
        RingSegment? lastOwned = null;
        var segment = _first;
        while (segment is { IsOwned: true })
        {
            lastOwned = segment;
            segment = segment.NextSegment;
        }
        while (segment != null)
        {
            var next = segment.NextSegment;
            _engine.Segments.Return(segment);
            segment = next;
        }
        _last = lastOwned;
        if (lastOwned == null) _first = null;
        else lastOwned.NextSegment = null;
    }

    private unsafe void ShowRing()
    {
        var cursor = default(TcpReadCursor);
        while (_engine.Tcp.TryPeek(_connection.Handle, ref cursor, out var bytes) && bytes.Length > 0)
        {
            var segment = _engine.Segments.Rent();
            segment.Show(_engine.Blocks.Slice((byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(bytes)), bytes.Length));
            Append(segment);
        }
    }

    private void Append(RingSegment segment)
    {
        if (_last == null) _first = segment;
        else _last.NextSegment = segment;
        _last = segment;
    }

    /// <summary>Moves the ring's bytes into segments of their own. On the core's thread, while no result is out.</summary>
    private void CopyOut(int readable)
    {
        DropShown();
        while (readable > 0)
        {
            if (_last is not { Room: > 0 })
            {
                var segment = _engine.Segments.Rent();
                segment.Own(ArrayPool<byte>.Shared.Rent(Math.Clamp(readable, 4096, 64 * 1024)));
                Append(segment);
            }
            var n = _engine.Tcp.Receive(_connection.Handle, _last!.Tail, _engine.Now);
            if (n <= 0) return;
            _last.Grow(n);
            _ownedBytes += n;
            readable -= n;
        }
    }

    /// <summary>The reader is complete: nothing more is wanted. On the core's thread.</summary>
    private void Finish()
    {
        ApplyConsumed();
        while (_first is { } segment)
        {
            _first = segment.NextSegment;
            _engine.Segments.Return(segment);
        }
        (_last, _ownedBytes) = (null, 0);
        _operation.Fail(OperationFault.Socket, SocketError.OperationAborted);
        if (!_connection.IsDisposed && !_connection.IsReceiveShut) _connection.ShutdownOnCore(SocketShutdown.Receive);
    }

    private void ThrowIfCompleted()
    {
        if (_isCompleted) throw new InvalidOperationException("Reading is not allowed after the reader was completed.");
    }

    private void ThrowIfReading()
    {
        if (_operation.IsActive) throw new InvalidOperationException("Another read is pending here. One read at a time: await the one before, or cancel it.");
        if (_isReading) throw new InvalidOperationException("Reading is already in progress: call AdvanceTo before the next read.");
    }

    private sealed class ReadOperation(TcpPipeReader reader) : SocketOperation<ReadResult>(reader._engine)
    {
        internal Source Source { get; set; }

        protected override CompletionMode Mode => reader._connection.CompletionMode;

        protected override string Name => "read";

        protected override bool Perform()
        {
            // Continuations off the core must not look into the ring.
            var source = Mode == CompletionMode.ThreadPool ? Source.Copy : Source;
            if (!reader.TryBuild(source, out var result, out var error)) return false;
            Result = result;
            SetError(error == SocketError.Success ? OperationFault.None : OperationFault.Socket, error);
            return true;
        }

        protected override void Clear() => Result = default;
    }
}
