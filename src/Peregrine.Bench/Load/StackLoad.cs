// The load generator on a Peregrine stack, for links in memory, where the kernel cannot be the client: call-backs on the core's thread. The
// same work and the same counting as on kernel sockets.
using System.Net;
using System.Net.Sockets;
using Peregrine.Bench.Serving;
using Peregrine.Sockets;

namespace Peregrine.Bench.Load;

internal sealed class StackLoad(BenchWork work, Network network, IPAddress address)
{
    private static readonly TimeSpan s_connectLimit = TimeSpan.FromSeconds(20);

    private readonly Latencies _latencies = new();
    private readonly Queue<Lane> _free = new();
    private readonly byte[] _bulk = new byte[256 * 1024];
    private byte[] _request = [];
    private ArrivalSchedule _schedule;
    private long _operations, _errors, _bytes;
    private bool _stopping;

    /// <summary>Connects, warms up, measures.</summary>
    /// <param name="cpuSeconds">Gives the processor time of the client's core so far.</param>
    /// <param name="onMeasure">Called when the measured time begins and when it ends.</param>
    /// <param name="cancel">Ends it early.</param>
    internal async Task<LoadResult> RunAsync(Func<double> cpuSeconds, Func<Task> onMeasure, CancellationToken cancel)
    {
        var one = KernelLoad.RequestBytes(work);
        _request = Enumerable.Repeat(one, work.Pipeline).SelectMany(static bytes => bytes).ToArray();
        var lanes = await OpenAsync(cancel).ConfigureAwait(false);
        _schedule = new ArrivalSchedule(work.Rate, Clock.Now);
        await network.Engine.RunAsync(() => Begin(lanes)).ConfigureAwait(false);
        await PaceAsync(work.WarmUpSeconds, cancel).ConfigureAwait(false);
        await onMeasure().ConfigureAwait(false);
        var began = await network.Engine.RunAsync(Clear).ConfigureAwait(false);
        var (cpu, compiled) = (cpuSeconds(), System.Runtime.JitInfo.GetCompiledMethodCount());
        await PaceAsync(work.Seconds, cancel).ConfigureAwait(false);
        var result = await network.Engine.RunAsync(() => Summary(began)).ConfigureAwait(false);
        result = result with { ClientCpuSeconds = cpuSeconds() - cpu, CompiledMethods = System.Runtime.JitInfo.GetCompiledMethodCount() - compiled };
        await onMeasure().ConfigureAwait(false);
        return result;
    }

    private async Task<List<Lane>> OpenAsync(CancellationToken cancel)
    {
        var lanes = new List<Lane>();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(s_connectLimit);
        try
        {
            await OpenAsync(lanes, limit.Token).ConfigureAwait(false);
            return lanes;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new IOException($"the connections did not come about within {s_connectLimit.TotalSeconds:0} s ({lanes.Count} of {(work.IsBulk ? 1 : work.Connections)} were asked for): does the server accept?");
        }
    }

    private async Task OpenAsync(List<Lane> lanes, CancellationToken cancel)
    {
        for (var i = 0; i < (work.IsBulk ? 0 : work.Connections); i++)
        {
            var lane = new Lane(this, ServerSettings.ClientAddresses[i % ServerSettings.ClientAddresses.Count]);
            lanes.Add(lane);
            if (work.IsUdp) await lane.BindAsync(cancel).ConfigureAwait(false);
            else if (!work.IsPerConnection) await lane.ConnectAsync(cancel).ConfigureAwait(false);
        }
        if (!work.IsBulk && work.Kind != WorkKind.Mixed) return;
        var port = work.Kind == WorkKind.Mixed ? Services.Discard : Services.PortOf(work);
        var bulk = await network.ConnectTcpAsync(new IPEndPoint(address, port), cancel: cancel).ConfigureAwait(false);
        var pump = new Pump(this);
        bulk.SetHandler(pump);
        if (!work.Reverse) await network.Engine.RunAsync(() => pump.Push(bulk)).ConfigureAwait(false);
    }

    private bool Begin(List<Lane> lanes)
    {
        foreach (var lane in lanes)
        {
            if (work.Rate > 0) _free.Enqueue(lane);
            else lane.Start(Clock.Now);
        }
        return true;
    }

    /// <summary>Lets time pass. In an open loop arrivals begin with every answer that comes, and every millisecond at the latest.</summary>
    private async Task PaceAsync(double seconds, CancellationToken cancel)
    {
        if (work.Rate == 0)
        {
            await Task.Delay(TimeSpan.FromSeconds(seconds), cancel).ConfigureAwait(false);
            return;
        }
        var until = Clock.Now + (long)(seconds * 1e9);
        while (Clock.Now < until)
        {
            await network.Engine.RunAsync(StartDue).ConfigureAwait(false);
            await Task.Delay(1, cancel).ConfigureAwait(false);
        }
    }

    private bool StartDue()
    {
        while (_free.Count > 0 && _schedule.TryTake(Clock.Now, out var due)) _free.Dequeue().Start(due);
        return true;
    }

    private long Clear()
    {
        _latencies.Clear();
        (_operations, _errors, _bytes) = (0, 0, 0);
        return Clock.Now;
    }

    private LoadResult Summary(long began)
    {
        _stopping = true;
        var now = Clock.Now;
        return new LoadResult
        {
            Seconds = (now - began) / 1e9,
            Operations = _operations,
            Errors = _errors,
            Bytes = _bytes,
            Unstarted = _schedule.Overdue(now),
            Latency = _latencies.Summary(),
        };
    }

    private void Complete(Lane lane, long startedAt)
    {
        _latencies.Add(Clock.Now - startedAt);
        _operations += work.Pipeline;
        if (_stopping) return;
        if (work.Rate == 0)
        {
            lane.Start(Clock.Now);
            return;
        }
        _free.Enqueue(lane);
        StartDue();
    }

    /// <summary>One connection, or one after another.</summary>
    private sealed class Lane(StackLoad load, IPAddress local) : ITcpHandler
    {
        private readonly TcpConnectionOptions _options = new() { LocalEndPoint = new IPEndPoint(local, 0) };
        private readonly byte[] _datagram = new byte[2_048];
        private TcpConnection? _connection;
        private UdpSocket? _socket;
        private long _startedAt;
        private int _left;

        internal async Task ConnectAsync(CancellationToken cancel)
        {
            _connection = await load.Network.ConnectTcpAsync(new IPEndPoint(load.Address, Services.PortOf(load.Work)), _options, cancel).ConfigureAwait(false);
            _connection.NoDelay = true;
            _connection.SetHandler(this);
        }

        internal async Task BindAsync(CancellationToken cancel)
        {
            _socket = load.Network.BindUdp(new IPEndPoint(IPAddress.Any, 0));
            await _socket.ConnectAsync(new IPEndPoint(load.Address, Services.Echo), cancel).ConfigureAwait(false);
        }

        /// <summary>Begins a request, on the core's thread.</summary>
        internal void Start(long due)
        {
            _startedAt = due;
            _left = load.Work.Kind == WorkKind.Http ? Services.Answer.Length * load.Work.Pipeline : load._request.Length;
            if (_socket != null) _ = AskAsync(_socket);
            else if (load.Work.IsPerConnection) _ = OpenAndSendAsync();
            else Send();
        }

        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes)
        {
            _left -= bytes.Length;
            if (_left > 0) return;
            // The server closes first: the request ends here, the connection with the FIN.
            if (load.Work is { IsPerConnection: true, Closer: Closer.Client }) connection.Dispose();
            load.Complete(this, _startedAt);
        }

        public void OnClosed(TcpConnection connection, SocketError error)
        {
            if (error == SocketError.Success || load._stopping) return;
            load._errors++;
        }

        private void Send()
        {
            if (_connection!.TrySend(load._request) != load._request.Length) load._errors++;
        }

        private async Task OpenAndSendAsync()
        {
            try
            {
                await ConnectAsync(default).ConfigureAwait(false);
                Send();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                if (load._stopping) return;
                load._errors++;
                if (load.Work.Rate > 0) load._free.Enqueue(this);
                else _ = TryAgainAsync();
            }
        }

        /// <summary>Begins anew a little later: what failed at once, as where no port is free, would fail again, and deeper in the stack each time.</summary>
        private async Task TryAgainAsync()
        {
            try
            {
                await Task.Delay(1).ConfigureAwait(false);
                await load.Network.Engine.RunAsync(() =>
                {
                    if (!load._stopping) Start(Clock.Now);
                    return true;
                }).ConfigureAwait(false);
            }
            catch (Exception e) when (e is ObjectDisposedException or InvalidOperationException or OperationCanceledException)
            {
                // The network ended meanwhile.
            }
        }

        private async Task AskAsync(UdpSocket socket)
        {
            try
            {
                await socket.SendAsync(load._request).ConfigureAwait(false);
                await socket.ReceiveAsync(_datagram).ConfigureAwait(false);
                load.Complete(this, _startedAt);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                load._errors++;
            }
        }
    }

    /// <summary>Bulk data, one way.</summary>
    private sealed class Pump(StackLoad load) : ITcpHandler
    {
        internal bool Push(TcpConnection connection)
        {
            int taken;
            do
            {
                taken = connection.TrySend(load._bulk);
                load._bytes += Math.Max(0, taken);
            }
            while (taken == load._bulk.Length);
            return true;
        }

        public void OnReceived(TcpConnection connection, ReadOnlySpan<byte> bytes) => load._bytes += bytes.Length;

        public void OnWritable(TcpConnection connection) => Push(connection);
    }

    private BenchWork Work => work;

    private Network Network => network;

    private IPAddress Address => address;
}
