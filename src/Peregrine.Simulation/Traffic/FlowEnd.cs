// One end of a conversation on the stack's own calls. It moves only when the stack raises an event or a timer of its own comes: an event
// that the stack forgets leaves it waiting, and the judges see that.
using System.Net.Sockets;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;

namespace Peregrine.Simulation.Traffic;

internal sealed class FlowEnd(TrafficApplication application, bool isClient, TcpHandle handle, Flow? flow) : IEventTarget
{
    private readonly byte[] _header = new byte[Flow.HeaderBytes];
    private int _headerCount;
    private bool _isShut, _isDone, _hasStalled, _sawEnd, _hasClosed;
    private Instant _waitUntil;

    public TcpHandle Handle { get; } = handle;

    public Flow? Flow { get; private set; } = flow;

    public bool IsDone => _isDone;

    private TcpLayer Tcp => application.Host.Stack.Tcp;

    public void OnEvent(object? payload, Instant now) => application.MarkDue(this);

    /// <summary>Does all that can be done now.</summary>
    public void Pump(Instant now)
    {
        if (_isDone || application.World.Now < _waitUntil) return;
        Read(now);
        if (_isDone || Flow is null) return;
        Write(now);
        if (!_isDone) TryEnd(now);
        // What ended in good order while its reader slept.
        if (_hasClosed && !_isDone && application.World.Now >= _waitUntil) Finish(SocketError.Success, now);
    }

    public void OnClosed(SocketError error, Instant now)
    {
        if (_isDone) return;
        if (error == SocketError.Success)
        {
            // An orderly end: what was received before can still be read.
            _hasClosed = true;
            if (Flow is not null && isClient) Flow.IsClientClosed = true;
            else if (Flow is not null) Flow.IsServerClosed = true;
            Pump(now);
            if (_isDone || application.World.Now < _waitUntil) return;
        }
        else if (Flow is not null)
        {
            // What had come before can be read still, however slow the reader: whether all had, the judge asks.
            Read(now, isRest: true);
            if (_isDone) return;
        }
        Finish(error, now);
    }

    /// <summary>The host has lost everything.</summary>
    public void OnRestart()
    {
        _isDone = true;
        if (Flow is null) return;
        Flow.Excuses |= Excuse.Restart;
        Flow.Done(isClient, SocketError.ConnectionAborted);
    }

    /// <summary>Ends it by force: its peer will never come back.</summary>
    public void Abort(Instant now)
    {
        if (_isDone) return;
        if (Flow is not null) Flow.Excuses |= Excuse.Application;
        Tcp.Abort(Handle, now);
        Finish(SocketError.ConnectionAborted, now);
    }

    private void Read(Instant now, bool isRest = false)
    {
        var chunk = Flow?.Plan.ChunkBytes ?? 4_096;
        var isSlow = !isRest && Flow is { } f && f.Plan.ReadPause > Duration.Zero && !application.IsCalm;
        while (true)
        {
            var buffer = application.Buffer.AsSpan(0, Math.Min(chunk, application.Buffer.Length));
            // Reading the first bytes of an accepted connection tells which flow it is.
            if (Flow is null) buffer = buffer[..(Flow.HeaderBytes - _headerCount)];
            var n = Tcp.Receive(Handle, buffer, now);
            if (n <= 0) break;
            if (Flow is null) OnHeader(buffer[..n], now);
            else Flow.Received(isClient, buffer[..n]);
            if (_isDone || (Flow is not null && MaybeEndInTheMiddle(now))) return;
            if (!isSlow) continue;
            Wait(Flow!.Plan.ReadPause);
            return;
        }
        var status = Tcp.GetStatus(Handle);
        if (!status.PeerClosed || status.ReadableBytes > 0 || _sawEnd) return;
        _sawEnd = true;
        if (Flow is null) Finish(SocketError.Success, now);
        else Flow.EndOfStream(isClient);
    }

    private void OnHeader(ReadOnlySpan<byte> bytes, Instant now)
    {
        bytes.CopyTo(_header.AsSpan(_headerCount));
        _headerCount += bytes.Length;
        if (_headerCount < Flow.HeaderBytes) return;
        Flow = application.Claim(_header);
        if (Flow is not null) return;
        Tcp.Abort(Handle, now);
        Finish(SocketError.ConnectionAborted, now);
    }

    private bool MaybeEndInTheMiddle(Instant now)
    {
        var plan = Flow!.Plan;
        var received = isClient ? Flow.ClientReceived : Flow.ServerReceived;
        var mine = isClient ? plan.Ending is FlowEnding.ClientAborts or FlowEnding.ClientLeaves : plan.Ending == FlowEnding.ServerAborts;
        if (!mine || received < plan.EndAfterBytes) return false;
        Flow.Excuses |= Excuse.Application;
        if (plan.Ending != FlowEnding.ClientLeaves) Tcp.Abort(Handle, now);
        Finish(SocketError.Success, now);
        return true;
    }

    private void Write(Instant now)
    {
        if (_isShut) return;
        while (true)
        {
            var sent = isClient ? Flow!.ClientSent : Flow!.ServerSent;
            var left = Math.Min(Flow.MaySend(isClient) - sent, Flow.Plan.ChunkBytes);
            if (left <= 0) break;
            var bytes = Flow.Next(isClient, sent, (int)left);
            var taken = Tcp.Send(Handle, bytes, now);
            if (taken <= 0) return;
            if (isClient) Flow.ClientSent += taken;
            else Flow.ServerSent += taken;
            if (!_hasStalled && Flow.Plan.Stall > Duration.Zero && !application.IsCalm)
            {
                _hasStalled = true;
                Wait(Flow.Plan.Stall);
                return;
            }
        }
        if ((isClient ? Flow.ClientSent : Flow.ServerSent) < Flow.Total(isClient)) return;
        _isShut = Tcp.Shutdown(Handle, now) == SocketError.Success;
    }

    private void TryEnd(Instant now)
    {
        // A client that has received nothing yet may also be one that leaves at once.
        if (MaybeEndInTheMiddle(now)) return;
        // Others wait until the stack says that the connection has ended: then what was sent has arrived.
        if (!Flow!.Plan.LetsGo || !_sawEnd || (isClient ? Flow.ClientSent : Flow.ServerSent) < Flow.Total(isClient)) return;
        // What is still on its way may be given up later, and nobody will hear of it.
        if (!Flow.Plan.IsCalm) Flow.Excuses |= Excuse.Application;
        Finish(SocketError.Success, now);
    }

    private void Wait(Duration time)
    {
        _waitUntil = application.World.Now + time;
        application.World.Queue.Add(_waitUntil, this);
    }

    private void Finish(SocketError error, Instant now)
    {
        _isDone = true;
        application.Forget(this);
        Tcp.Close(Handle, now);
        Flow?.Done(isClient, error);
    }
}
