// A connection's bytes to be sent as a PipeWriter. On the core's thread GetMemory gives room in the send ring's own blocks, and flushing
// commits it. Elsewhere, and while the ring is full, bytes are collected in rented arrays and the core copies them into the ring in
// order; a flush waits when more than a limit of them are on the way.
//
// Three places, in the order of the stream: the reservation in the ring, arrays handed over by flushes (outgoing), arrays not yet flushed
// (staged). A reservation is made only while the other two are empty, so the order holds.
using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Peregrine.Sockets;

internal sealed class TcpPipeWriter : PipeWriter
{
    /// <summary>Bytes beside the ring above which a flush waits.</summary>
    internal const int PauseBytes = 64 * 1024;

    private const int StagedBytesMin = 4096;

    private readonly TcpConnection _connection;
    private readonly SocketEngine _engine;
    private readonly FlushOperation _operation;
    private readonly Queue<Staged> _staged = new();
    private readonly ConcurrentQueue<Staged> _outgoing = new();
    private Memory<byte> _reserved;
    private int _reservedUsed;
    private Staged? _filling;
    private Staged? _sending;
    private long _outgoingBytes;
    private long _unflushed;
    private bool _inReserved;
    private int _cancelNext;
    private bool _isCompleted;
    private bool _finQueued;
    private Exception? _completedWith;

    internal TcpPipeWriter(TcpConnection connection)
    {
        _connection = connection;
        _engine = connection.Engine;
        _operation = new FlushOperation(this);
    }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _unflushed;

    /// <summary>Whether flushed bytes have not reached the ring yet.</summary>
    internal bool HasBacklog => Interlocked.Read(ref _outgoingBytes) > 0;

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        ThrowIfCompleted();
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        var need = Math.Max(sizeHint, 1);
        if (_filling == null)
        {
            if (_reserved.Length - _reservedUsed >= need && _engine.IsCurrent) return InReserved();
            if (_engine.IsCurrent && TryReserve(need)) return InReserved();
        }
        Volatile.Write(ref _inReserved, false);
        if (_filling == null || _filling.Room < need) Stage(need);
        return _filling!.Array.AsMemory(_filling.Length);
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        var room = _inReserved ? _reserved.Length - _reservedUsed : _filling?.Room ?? 0;
        if ((uint)bytes > (uint)room)
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"bytes is {bytes}; it must be from 0 to {room}, the length of the memory that was got.");
        if (_inReserved) _reservedUsed += bytes;
        else if (_filling != null) _filling.Length += bytes;
        _unflushed += bytes;
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfCompleted();
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        if (_operation.IsActive) throw new InvalidOperationException("Another flush is pending here. One flush at a time: await the one before, or cancel it.");
        HandOver();
        if (_engine.IsCurrent)
        {
            if (TryFinishFlush(0, out var result)) return new(result);
        }
        else
        {
            // The ring takes them soon: a writer off the core need not wait for that until much is on the way.
            var quiet = Volatile.Read(ref _cancelNext) == 0;
            if (quiet && !HasBacklog && _reservedUsed == 0) return new(new FlushResult(isCanceled: false, _connection.IsSendEnded));
            if (quiet && Interlocked.Read(ref _outgoingBytes) <= PauseBytes && _connection.Post(EngineCommandKind.Pipes))
                return new(new FlushResult(isCanceled: false, _connection.IsSendEnded));
        }
        _operation.Claim(throwsIO: true);
        _operation.BacklogMax = _engine.IsCurrent ? 0 : PauseBytes / 2;
        var pending = _operation.AsValueTask();
        _operation.Start(cancellationToken);
        if (!_engine.IsCurrent) _connection.Ask(EngineCommandKind.Pipes, _operation);
        return pending;
    }

    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        ThrowIfCompleted();
        if (cancellationToken.IsCancellationRequested) return ValueTask.FromCanceled<FlushResult>(cancellationToken);
        var rest = source.Span;
        if (_engine.IsCurrent && _filling == null && !HasBacklog)
        {
            CommitReserved();
            if (_connection.TrySend(rest, out var taken, out var fault, out _) && fault != OperationFault.None) taken = rest.Length;
            rest = rest[taken..];
        }
        while (rest.Length > 0)
        {
            if (_filling is not { Room: > 0 }) Stage(Math.Min(rest.Length, 64 * 1024));
            var n = Math.Min(rest.Length, _filling!.Room);
            rest[..n].CopyTo(_filling.Array.AsSpan(_filling.Length));
            _filling.Length += n;
            _unflushed += n;
            rest = rest[n..];
        }
        return FlushAsync(cancellationToken);
    }

    public override void CancelPendingFlush()
    {
        Volatile.Write(ref _cancelNext, 1);
        if (_engine.IsCurrent) _operation.Attempt();
        else _connection.Post(EngineCommandKind.Pipes);
    }

    public override void Complete(Exception? exception = null)
    {
        if (_isCompleted) return;
        HandOver();
        _completedWith = exception;
        Volatile.Write(ref _isCompleted, true);
        if (_engine.IsCurrent) OnCore();
        else _connection.Post(EngineCommandKind.Pipes);
    }

    public override async ValueTask CompleteAsync(Exception? exception = null)
    {
        if (exception == null && !_isCompleted) await FlushAsync().ConfigureAwait(false);
        Complete(exception);
    }

    /// <summary>Something may have changed: room in the ring, a flush, completion, the end. On the core's thread.</summary>
    internal void OnCore()
    {
        if (_connection.IsReleased) return;
        if (Volatile.Read(ref _isCompleted) && _completedWith != null)
        {
            if (!_connection.IsEnded) _connection.Abort();
            Drop();
        }
        else
        {
            Drain();
        }
        _operation.Attempt();
        if (HasBacklog) return;
        if (Volatile.Read(ref _isCompleted) && !_finQueued)
        {
            _finQueued = true;
            if (!_connection.IsEnded) _connection.ShutdownOnCore(SocketShutdown.Send);
        }
        _connection.OnOutputDrained();
    }

    internal void Fail(SocketError error) => _operation.Fail(OperationFault.Socket, error);

    /// <summary>The connection is about to be closed: what was flushed into the reservation still goes out; the ring is not ours after that.</summary>
    internal void OnClosing()
    {
        CommitReserved();
        Drop();
    }

    /// <summary>What was advanced and is not in the ring goes to the core. The reservation is committed there.</summary>
    private void HandOver()
    {
        _unflushed = 0;
        if (_filling is { Length: > 0 } filling)
        {
            _staged.Enqueue(filling);
            _filling = null;
        }
        while (_staged.TryDequeue(out var staged))
        {
            Interlocked.Add(ref _outgoingBytes, staged.Length);
            _outgoing.Enqueue(staged);
        }
        Volatile.Write(ref _inReserved, false);
    }

    private Memory<byte> InReserved()
    {
        _inReserved = true;
        return _reserved[_reservedUsed..];
    }

    private unsafe bool TryReserve(int need)
    {
        if (HasBacklog || _connection.IsSendEnded || need > StagedBytesMin) return false;
        CommitReserved();
        var room = _engine.Tcp.ReserveSend(_connection.Handle, need);
        if (room.Length < need) return false;
        _reserved = _engine.Blocks.Slice((byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(room)), room.Length);
        _reservedUsed = 0;
        return true;
    }

    private void CommitReserved()
    {
        if (_reserved.IsEmpty) return;
        _reserved = default;
        var used = _reservedUsed;
        _reservedUsed = 0;
        _inReserved = false;
        if (!_connection.IsReleased) _engine.Tcp.CommitSend(_connection.Handle, used, _engine.Now);
    }

    private void Stage(int need)
    {
        if (_filling is { Length: > 0 } full) _staged.Enqueue(full);
        else if (_filling is { } empty) ArrayPool<byte>.Shared.Return(empty.Array);
        _filling = new Staged(ArrayPool<byte>.Shared.Rent(Math.Max(need, StagedBytesMin)));
    }

    /// <summary>Moves as much as possible into the ring. On the core's thread.</summary>
    private void Drain()
    {
        if (_connection.IsSendEnded)
        {
            Drop();
            return;
        }
        if (!Volatile.Read(ref _inReserved) && _reservedUsed > 0) CommitReserved();
        while (_sending != null || _outgoing.TryDequeue(out _sending))
        {
            while (_sending.Sent < _sending.Length)
            {
                var n = _engine.Tcp.Send(_connection.Handle, _sending.Array.AsSpan(_sending.Sent, _sending.Length - _sending.Sent), _engine.Now);
                if (n == 0) return;
                if (n < 0)
                {
                    Drop();
                    return;
                }
                _sending.Sent += n;
                Interlocked.Add(ref _outgoingBytes, -n);
            }
            ArrayPool<byte>.Shared.Return(_sending.Array);
            _sending = null;
        }
    }

    /// <summary>Nobody will take the bytes any more.</summary>
    private void Drop()
    {
        while (_sending != null || _outgoing.TryDequeue(out _sending))
        {
            Interlocked.Add(ref _outgoingBytes, _sending.Sent - _sending.Length);
            ArrayPool<byte>.Shared.Return(_sending.Array);
            _sending = null;
        }
    }

    private bool TryFinishFlush(int backlogMax, out FlushResult result)
    {
        if (!_connection.IsReleased) Drain();
        var canceled = Volatile.Read(ref _cancelNext) != 0 && Interlocked.Exchange(ref _cancelNext, 0) != 0;
        var ended = _connection.IsSendEnded;
        result = new FlushResult(canceled, ended);
        return canceled || ended || Interlocked.Read(ref _outgoingBytes) <= backlogMax;
    }

    private void ThrowIfCompleted()
    {
        if (_isCompleted) throw new InvalidOperationException("Writing is not allowed after the writer was completed.");
    }

    /// <summary>A rented array on its way into the ring.</summary>
    private sealed class Staged(byte[] array)
    {
        internal byte[] Array { get; } = array;

        internal int Length { get; set; }

        internal int Sent { get; set; }

        internal int Room => Array.Length - Length;
    }

    private sealed class FlushOperation(TcpPipeWriter writer) : SocketOperation<FlushResult>(writer._engine)
    {
        /// <summary>Bytes that may stay beside the ring when the flush completes.</summary>
        internal int BacklogMax { get; set; }

        protected override CompletionMode Mode => writer._connection.CompletionMode;

        protected override string Name => "flush";

        protected override bool Perform()
        {
            if (!writer.TryFinishFlush(BacklogMax, out var result)) return false;
            Result = result;
            return true;
        }

        protected override void Clear()
        {
        }
    }
}
