// One end of a conversation on sockets: a method that reads and one that writes, side by side, over the connection's own calls or over its pipes. Receives
// are cancelled now and then and begun again, which must lose nothing.
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Sockets;
using Peregrine.Wire;

namespace Peregrine.Simulation.Traffic;

internal sealed class SocketEnd(SocketTraffic application, bool isClient, Flow? flow)
{
    private static readonly Duration s_firstLook = Duration.FromMilliseconds(20), s_lastLook = Duration.FromSeconds(2);

    private readonly SimulationRandom _random = new(application.World.Seed, 0x3_0000_0000UL + (ulong)application.Traffic.SocketEnds++);
    private readonly CancellationTokenSource _opening = new();
    private TaskCompletionSource? _progress;

    // The receive that waits now, by what cancels it.
    private CancellationTokenSource? _receiving;
    private TcpConnection? _connection;
    private bool _isPiped, _isDone, _hasFailed;

    // What each of the two methods waits for: for a failure's report.
    private string _reads = "nothing", _writes = "nothing";

    public Flow? Flow { get; private set; } = flow;

    /// <summary>Opens the connection, unless it was accepted, and talks until the conversation is over.</summary>
    public async Task RunAsync(TcpConnection? accepted)
    {
        _isPiped = _random.Percent(40);
        var error = accepted is null ? await OpenAsync().ConfigureAwait(false) : SocketError.Success;
        _connection ??= accepted;
        if (error == SocketError.Success && !_isDone) error = await TalkAsync().ConfigureAwait(false);
        Finish(error);
    }

    /// <summary>The host has lost everything.</summary>
    public void OnRestart()
    {
        _isDone = true;
        if (Flow is null) return;
        Flow.Excuses |= Excuse.Restart;
        Flow.Done(isClient, SocketError.ConnectionAborted);
    }

    public override string ToString() => $"{application.Host.Name}, flow {Flow?.Id}, {(isClient ? "client" : "server")} on {(_isPiped ? "pipes" : "sockets")}: reads {_reads}, writes {_writes}"
        + (_connection is { } c ? $", ended {c.IsEnded} with {c.Error}, disposed {c.IsDisposed}, {application.Host.Stack.Tcp.GetStatus(c.Handle)}" : "");

    /// <summary>Tells the flow how the connection has ended, if it has, though no method of this end has heard of it.</summary>
    public void TellEnd()
    {
        if (_isDone || _connection is not { IsEnded: true } connection) return;
        if (connection.Error == SocketError.TimedOut) Flow!.Excuses |= Excuse.TimedOut;
        if (connection.Error != SocketError.Success) return;
        if (isClient) Flow!.IsClientClosed = true;
        else Flow!.IsServerClosed = true;
    }

    /// <summary>Ends it by force: its peer will never come back.</summary>
    public void Abort()
    {
        if (_isDone) return;
        if (Flow is not null) Flow.Excuses |= Excuse.Application;
        _connection?.Abort();
        Finish(SocketError.ConnectionAborted);
        _opening.Cancel();
    }

    private async Task<SocketError> OpenAsync()
    {
        Flow!.ClientOnSockets = this;
        var plan = Flow.Plan;
        var remote = new IPEndPoint((plan.IsV6 ? plan.Server.AddressV6 : plan.Server.AddressV4).ToIPAddress(), plan.Port);
        var local = plan.LocalPort == 0 ? null : new IPEndPoint(plan.IsV6 ? IPAddress.IPv6Any : IPAddress.Any, plan.LocalPort);
        if (plan.Ending == FlowEnding.ClientAborts && _random.Percent(30)) application.After(Duration.FromMicroseconds(_random.Size(300_000)), GiveUpOpening);
        _reads = "nothing before it is open";
        try
        {
            var options = new TcpConnectionOptions { LocalEndPoint = local, Settings = plan.Settings };
            _connection = await application.Host.Network.ConnectTcpAsync(remote, options, _opening.Token).ConfigureAwait(false);
            if (_isDone) _connection.Dispose();
            return SocketError.Success;
        }
        catch (OperationCanceledException)
        {
            application.Traffic.Cancellations++;
            return SocketError.ConnectionAborted;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode;
        }
    }

    private void GiveUpOpening()
    {
        if (_isDone || _connection is not null) return;
        Flow!.Excuses |= Excuse.Application;
        _opening.Cancel();
        application.Later(() =>
        {
            if (!_isDone) throw application.Cancellation(ToString(), "a connect was cancelled and waits on");
        });
    }

    private async Task<SocketError> TalkAsync()
    {
        if (Flow is null && !await ReadHeaderAsync().ConfigureAwait(false)) return SocketError.ConnectionAborted;
        var writing = WriteAsync();
        var error = await ReadAsync().ConfigureAwait(false);
        if (error != SocketError.Success)
        {
            // What waits for something to answer must not wait for ever.
            _hasFailed = true;
            Progress();
            _connection!.Dispose();
        }
        var late = await writing.ConfigureAwait(false);
        if (error == SocketError.Success) error = late;
        if (error != SocketError.Success || _isDone) return error;
        if (Flow!.Plan.LetsGo)
        {
            // What is still on its way may be given up later, and nobody will hear of it.
            if (!Flow.Plan.IsCalm) Flow.Excuses |= Excuse.Application;
            return SocketError.Success;
        }
        (_reads, _writes) = ("all", "all and waits for its end");
        for (var pause = s_firstLook; !_connection!.IsEnded && !_isDone; pause = Duration.Min(pause * 2, s_lastLook)) await application.Delay(pause).ConfigureAwait(false);
        return _connection.Error;
    }

    private async Task<bool> ReadHeaderAsync()
    {
        var header = new byte[Traffic.Flow.HeaderBytes];
        for (var count = 0; count < header.Length;)
        {
            var (n, error) = await ReceiveAsync(header.AsMemory(count)).ConfigureAwait(false);
            if (error != SocketError.Success || n == 0) return false;
            count += n;
        }
        if (_isDone) return false;
        Flow = application.Claim(header);
        if (Flow is null) _connection!.Abort();
        else Flow.ServerOnSockets = this;
        return Flow is not null;
    }

    private async Task<SocketError> ReadAsync()
    {
        var plan = Flow!.Plan;
        var buffer = new byte[Math.Min(plan.ChunkBytes, 16_384)];
        while (true)
        {
            if (MaybeEndInTheMiddle()) return SocketError.Success;
            var (n, error) = await ReceiveAsync(buffer).ConfigureAwait(false);
            if (_isDone || error != SocketError.Success) return error;
            if (n == 0) break;
            Flow.Received(isClient, buffer.AsSpan(0, n));
            Progress();
            _reads = "and pauses";
            if (plan.ReadPause > Duration.Zero && !application.IsCalm) await application.Delay(plan.ReadPause).ConfigureAwait(false);
            if (_isDone) return SocketError.Success;
        }
        Flow.EndOfStream(isClient);
        // The peer has an excuse, and says no more: what waits for it here would wait for ever.
        if ((isClient ? Flow.ClientReceived : Flow.ServerReceived) < Flow.Total(!isClient)) return SocketError.ConnectionAborted;
        return SocketError.Success;
    }

    private async Task<SocketError> WriteAsync()
    {
        var chunk = new byte[Math.Min(Flow!.Plan.ChunkBytes, 16_384)];
        var hasStalled = false;
        while (!_isDone && !_hasFailed)
        {
            var sent = isClient ? Flow.ClientSent : Flow.ServerSent;
            if (sent == Flow.Total(isClient)) return Shut();
            var length = (int)Math.Min(Flow.MaySend(isClient) - sent, chunk.Length);
            if (length <= 0)
            {
                _writes = "when there is something to answer";
                await (_progress = new TaskCompletionSource()).Task.ConfigureAwait(false);
                continue;
            }
            var bytes = Flow.Next(isClient, sent, length);
            bytes.CopyTo(chunk);
            // Before: the peer may have them before this method hears of it.
            if (isClient) Flow.ClientSent += bytes.Length;
            else Flow.ServerSent += bytes.Length;
            _writes = "and waits";
            var error = await SendAsync(chunk.AsMemory(0, bytes.Length)).ConfigureAwait(false);
            if (error != SocketError.Success) return error;
            if (hasStalled || Flow.Plan.Stall == Duration.Zero || application.IsCalm) continue;
            hasStalled = true;
            _writes = "and stalls";
            await application.Delay(Flow.Plan.Stall).ConfigureAwait(false);
        }
        return SocketError.Success;
    }

    private SocketError Shut()
    {
        if (_isPiped) _connection!.Output.Complete();
        else if (!_connection!.IsDisposed) _connection.Shutdown(SocketShutdown.Send);
        return SocketError.Success;
    }

    // Bytes, or 0 at the end.
    private async Task<(int Count, SocketError Error)> ReceiveAsync(Memory<byte> buffer)
    {
        while (true)
        {
            using var cancelling = _random.Percent(10) && !application.IsCalm ? new CancellationTokenSource() : null;
            if (cancelling is not null) application.After(Duration.FromMicroseconds(_random.Size(200_000)), () => Cancel(cancelling));
            _reads = "and waits";
            _receiving = cancelling;
            try
            {
                var cancel = cancelling?.Token ?? default;
                if (_isPiped) return (await ReadPipeAsync(buffer, cancel).ConfigureAwait(false), SocketError.Success);
                // A receive of nothing waits for something.
                if (_random.Percent(20)) await _connection!.ReceiveAsync(Memory<byte>.Empty, cancel).ConfigureAwait(false);
                return (await _connection!.ReceiveAsync(buffer, cancel).ConfigureAwait(false), SocketError.Success);
            }
            catch (OperationCanceledException)
            {
                if (cancelling is not { IsCancellationRequested: true }) throw application.Cancellation(ToString(), "a receive was cancelled by nobody");
                application.Traffic.Cancellations++;
            }
            catch (Exception e) when (ErrorOf(e) is { } error)
            {
                return (0, error);
            }
            finally
            {
                _receiving = null;
            }
        }
    }

    private async ValueTask<int> ReadPipeAsync(Memory<byte> buffer, CancellationToken cancel)
    {
        var read = await _connection!.Input.ReadAsync(cancel).ConfigureAwait(false);
        var part = read.Buffer.Slice(0, Math.Min(buffer.Length, read.Buffer.Length));
        var count = 0;
        foreach (var segment in part)
        {
            segment.CopyTo(buffer[count..]);
            count += segment.Length;
        }
        _connection.Input.AdvanceTo(part.End);
        return count;
    }

    private async Task<SocketError> SendAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            if (_isPiped) await WritePipeAsync(bytes).ConfigureAwait(false);
            else await _connection!.SendAsync(bytes).ConfigureAwait(false);
            return SocketError.Success;
        }
        catch (Exception e) when (ErrorOf(e) is { } error)
        {
            return error;
        }
    }

    private ValueTask WritePipeAsync(ReadOnlyMemory<byte> bytes)
    {
        bytes.Span.CopyTo(_connection!.Output.GetSpan(bytes.Length));
        _connection.Output.Advance(bytes.Length);
        return FlushAsync();
        async ValueTask FlushAsync() => await _connection.Output.FlushAsync().ConfigureAwait(false);
    }

    private static SocketError? ErrorOf(Exception e) => e switch
    {
        SocketException s => s.SocketErrorCode,
        IOException { InnerException: SocketException s } => s.SocketErrorCode,
        ObjectDisposedException => SocketError.OperationAborted,
        _ => null,
    };

    private void Cancel(CancellationTokenSource source)
    {
        // It has ended.
        if (!ReferenceEquals(_receiving, source)) return;
        source.Cancel();
        application.Later(() =>
        {
            if (!_isDone && ReferenceEquals(_receiving, source)) throw application.Cancellation(ToString(), "a receive was cancelled and waits on");
        });
    }

    private bool MaybeEndInTheMiddle()
    {
        var plan = Flow!.Plan;
        var received = isClient ? Flow.ClientReceived : Flow.ServerReceived;
        var mine = isClient ? plan.Ending is FlowEnding.ClientAborts or FlowEnding.ClientLeaves : plan.Ending == FlowEnding.ServerAborts;
        if (!mine || received < plan.EndAfterBytes) return false;
        Flow.Excuses |= Excuse.Application;
        if (plan.Ending != FlowEnding.ClientLeaves) _connection!.Abort();
        Finish(SocketError.Success);
        return true;
    }

    private void Progress()
    {
        var waiting = _progress;
        _progress = null;
        waiting?.SetResult();
    }

    private void Finish(SocketError error)
    {
        _connection?.Dispose();
        if (_isDone) return;
        _isDone = true;
        application.Forget(this);
        Flow?.Done(isClient, error);
        Progress();
    }
}
