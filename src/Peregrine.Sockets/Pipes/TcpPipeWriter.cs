// A connection's bytes to be sent as a PipeWriter. On the core's thread GetMemory gives room in the send ring's own blocks, and flushing
// commits it. Elsewhere, and while the ring is full, bytes are collected in rented arrays and the core copies them into the ring in
// order; a flush waits when more than a limit of them are on the way.
//
// Three places, in the order of the stream: the reservation in the ring, arrays that flushes have handed over (outgoing), and what is not yet
// flushed: full arrays and the rest of the one that is being filled. A reservation is made only while nothing is outgoing, so the order holds.
//
// Flushes off the core gather: the core is asked once for all that come before it looks (see OnCore).
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

    private const int ArrayBytesMin = 4096;

    private readonly TcpConnection _connection;
    private readonly SocketEngine _engine;
    private readonly FlushOperation _operation;
    private readonly ConcurrentQueue<OutgoingArray> _outgoing = new();
    private Queue<OutgoingArray>? _full;
    private Memory<byte> _reserved;
    private int _reservedUsed;
    private OutgoingArray? _filling;
    private OutgoingArray? _sending;
    private long _outgoingBytes;
    private int _asked;
    private long _unflushed;
    private bool _inReserved;
    private bool _holdsFilling;
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
        if (!_holdsFilling && _engine.IsCurrent && TryReserve(need))
        {
            _inReserved = true;
            return _reserved[_reservedUsed..];
        }
        Volatile.Write(ref _inReserved, false);
        HoldArray(need);
        return _filling!.Array.AsMemory(_filling.Length);
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override void Advance(int bytes)
    {
        var room = _inReserved ? _reserved.Length - _reservedUsed : _holdsFilling ? _filling!.Room : 0;
        if ((uint)bytes > (uint)room)
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"bytes is {bytes}; it must be from 0 to {room}, the length of the memory that was got.");
        if (_inReserved) _reservedUsed += bytes;
        else if (_holdsFilling) _filling!.Length += bytes;
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
            if (quiet && Interlocked.Read(ref _outgoingBytes) <= PauseBytes && TryAskSoon())
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
        if (_engine.IsCurrent && !_holdsFilling && !HasBacklog)
        {
            CommitReserved();
            if (_connection.TrySend(rest, out var taken, out var fault, out _) && fault != OperationFault.None) taken = rest.Length;
            rest = rest[taken..];
        }
        while (rest.Length > 0)
        {
            if (!_holdsFilling || _filling!.Room == 0) HoldArray(_filling is { Room: > 0 } ? 1 : Math.Min(rest.Length, 64 * 1024));
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
        // Before the look: a flush that still finds the mark has its bytes taken by this look, a later one asks again.
        Interlocked.Exchange(ref _asked, 0);
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
        while (_full is { Count: > 0 }) HandOver(_full.Dequeue());
        if (_holdsFilling && _filling!.Length > 0)
        {
            HandOver(_filling);
            _holdsFilling = false;
        }
        Volatile.Write(ref _inReserved, false);
    }

    private void HandOver(OutgoingArray array)
    {
        if (array.Publish() is > 0 and var count) Interlocked.Add(ref _outgoingBytes, count);
        if (!array.IsQueued)
        {
            array.IsQueued = true;
            _outgoing.Enqueue(array);
        }
        array.LetGo();
    }

    /// <summary>Has the core look at the pipes, if it has not been asked already. False when the core has stopped.</summary>
    private bool TryAskSoon()
    {
        if (Interlocked.Exchange(ref _asked, 1) != 0 || _connection.Post(EngineCommandKind.Pipes, soon: true)) return true;
        Volatile.Write(ref _asked, 0);
        return false;
    }

    /// <summary>Takes hold of an array with some room: the one that was last filled, if the core has not taken that away, or another.</summary>
    private void HoldArray(int need)
    {
        if (!_holdsFilling && _filling != null) _holdsFilling = _filling.TryHold();
        if (_holdsFilling && _filling!.Room >= need) return;
        if (_holdsFilling) (_full ??= new Queue<OutgoingArray>()).Enqueue(_filling!);
        _filling = new OutgoingArray(Math.Max(need, ArrayBytesMin));
        _holdsFilling = true;
    }

    private unsafe bool TryReserve(int need)
    {
        if (HasBacklog) return false;
        // With nothing outgoing the core has taken it away, or will when it looks next.
        _filling = null;
        if (_reserved.Length - _reservedUsed >= need) return true;
        if (_connection.IsSendEnded || need > ArrayBytesMin) return false;
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

    /// <summary>Moves as much as possible into the ring. On the core's thread.</summary>
    private void Drain()
    {
        if (_connection.IsSendEnded)
        {
            Drop();
            return;
        }
        if (!Volatile.Read(ref _inReserved)) CommitReserved();
        while (_sending != null || _outgoing.TryDequeue(out _sending))
        {
            while (_sending.Unsent is { Length: > 0 } bytes)
            {
                var n = _engine.Tcp.Send(_connection.Handle, bytes, _engine.Now);
                if (n == 0) return;
                if (n < 0)
                {
                    Drop();
                    return;
                }
                OnSent(_sending, n);
            }
            if (_sending.TryReturn()) _sending = null;
            // The writer holds it; the flush that lets go of it asks again.
            else if (_sending.Unsent.IsEmpty) return;
        }
    }

    /// <summary>Nobody will take the bytes any more.</summary>
    private void Drop()
    {
        while (_sending != null || _outgoing.TryDequeue(out _sending))
        {
            OnSent(_sending, _sending.Unsent.Length);
            if (_sending.TryReturn()) _sending = null;
            else if (_sending.Unsent.IsEmpty) return;
        }
    }

    private void OnSent(OutgoingArray array, int count)
    {
        array.OnSent(count);
        Interlocked.Add(ref _outgoingBytes, -count);
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
