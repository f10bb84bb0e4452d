// The server's half of the protocol: one test after the other. Who comes meanwhile is told to come again; who sends rubbish ends his own
// test with an error and nothing else.
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Peregrine.Sockets;
using TcpListener = Peregrine.Sockets.TcpListener;

namespace Peregrine.Iperf3;

internal sealed class Iperf3Server(Network network, Iperf3Options options, Iperf3Environment environment, Report report)
{
    /// <summary>Bytes of a client's results that are read at most.</summary>
    private const int ResultBytesMax = 1 << 20;

    /// <summary>Connections that may owe their cookie at once.</summary>
    private const int StrangerCountMax = 256;

    /// <summary>How long a peer may take for what the protocol has it send at once.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    /// <summary>How long a peer that was told of an error may take to leave.</summary>
    private static readonly TimeSpan s_linger = TimeSpan.FromMilliseconds(500);

    private readonly SocketEngine _engine = network.Engine;

    private readonly List<(long Order, TcpConnection Connection)> _joined = [];
    private TaskCompletionSource<(ControlChannel Control, byte[] Cookie)> _nextControl = new();
    private TaskCompletionSource _joinedAll = new();
    private byte[]? _cookie;
    private int _joinable;
    private int _strangerCount;
    private RSA? _privateKey;
    private IReadOnlyDictionary<string, string>? _users;

    private Network Network => network;

    private Iperf3Options Options => options;

    private Iperf3Environment Environment => environment;

    private Report Report => report;

    /// <summary>Serves until it is cancelled, or one test. The exit status.</summary>
    internal async Task<int> RunAsync(CancellationToken cancel)
    {
        TcpListener listener;
        try
        {
            ReadKeys();
            listener = network.ListenTcp(ListenAt(), new TcpListenerOptions { DualMode = options.Family == 0, CompletionMode = CompletionMode.Inline });
        }
        catch (Exception e) when (e is SocketException or Iperf3Exception)
        {
            var error = e as Iperf3Exception ?? new Iperf3Exception(Iperf3Error.Listen, ControlChannel.Code(e));
            report.Failed("error", error.Message, null);
            if (!options.IsJson) report.Failed("", "exiting", null);
            return 1;
        }
        using (listener)
        {
            var accepting = AcceptAsync(listener);
            for (var number = 1; ; number++)
            {
                report.Listening(options.Port, number);
                if (!await ServeAsync(cancel)) return cancel.IsCancellationRequested ? 1 : 0;
                if (options.OneOff) return 0;
            }
        }
    }

    private IPEndPoint ListenAt() => Settings.Bind(options, options.Port, AddressFamily.InterNetwork, Iperf3Error.Listen) is { } bound && (options.Bind != null || options.Family == 4)
        ? bound
        : new IPEndPoint(IPAddress.IPv6Any, options.Port);

    private void ReadKeys()
    {
        if (options.RsaPrivateKeyPath == null) return;
        _privateKey = Authentication.Read(options.RsaPrivateKeyPath, Iperf3Error.ServerAuth);
        _users = Authentication.ReadUsers(options.AuthorizedUsersPath!);
    }

    private async Task AcceptAsync(TcpListener listener)
    {
        try
        {
            for (var order = 0L; ; order++)
            {
                var connection = await listener.AcceptAsync();
                if (_strangerCount >= StrangerCountMax) connection.Abort();
                else _ = WelcomeAsync(connection, order);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The listener was disposed: the server ends.
        }
    }

    /// <summary>Finds out by its cookie what a connection is: a new test, a stream of the present one, or somebody else's.</summary>
    private async Task WelcomeAsync(TcpConnection connection, long order)
    {
        _strangerCount++;
        var control = new ControlChannel(connection);
        try
        {
            using var limit = new Patience(environment.Time, s_patience);
            var cookie = await control.ReceiveCookieAsync(limit.Token);
            if (cookie == null) connection.Dispose();
            else if (_cookie == null && _nextControl.TrySetResult((control, cookie))) _cookie = cookie;
            else if (_cookie != null && _joinable > 0 && CryptographicOperations.FixedTimeEquals(_cookie, cookie)) Join(connection, order);
            else await DenyAsync(control);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException or Iperf3Exception)
        {
            connection.Dispose();
        }
        finally
        {
            _strangerCount--;
        }
    }

    private static async Task DenyAsync(ControlChannel control)
    {
        await control.SendAsync(ControlState.AccessDenied);
        control.Connection.Dispose();
    }

    private void Join(TcpConnection connection, long order)
    {
        _joined.Add((order, connection));
        if (--_joinable == 0) _joinedAll.TrySetResult();
    }

    /// <summary>Waits for a client and runs its test. False when the server is to end.</summary>
    private async Task<bool> ServeAsync(CancellationToken cancel)
    {
        ControlChannel control;
        try
        {
            var idle = options.IdleTimeout > 0 ? TimeSpan.FromSeconds(options.IdleTimeout) : Timeout.InfiniteTimeSpan;
            // A restart of the server after idleness finds the same server here; only a one-off ends by it.
            while (await Task.WhenAny(_nextControl.Task, Task.Delay(idle, environment.Time, cancel)) is var first && first != _nextControl.Task)
            {
                await first;
                if (options.OneOff) return false;
            }
            (control, _) = await _nextControl.Task;
        }
        catch (OperationCanceledException)
        {
            report.Failed("interrupt", "the server has terminated", null);
            return false;
        }
        var running = new ServerTest(this, control);
        var lingers = false;
        try
        {
            await running.RunAsync(cancel);
            report.ServerDone(running.Test!);
        }
        catch (Iperf3Exception e)
        {
            lingers = Fail(running, e);
            // The next test does not wait until this client has gone.
            if (lingers) _ = LingerAsync(control, e.Error);
        }
        catch (OperationCanceledException)
        {
            running.EndEarly();
            report.Failed("interrupt", "the server has terminated", running.Test);
            await TellAsync(control, ControlState.ServerTerminate);
            return false;
        }
        finally
        {
            running.Test?.Dispose();
            if (!lingers) control.Connection.Dispose();
            foreach (var (_, connection) in _joined) connection.Dispose();
            _joined.Clear();
            (_cookie, _joinable, _nextControl, _joinedAll) = (null, 0, new(), new());
        }
        return true;
    }

    /// <summary>Shows the error. Whether the client is there to be told of it.</summary>
    private bool Fail(ServerTest running, Iperf3Exception e)
    {
        var left = e.Error is Iperf3Error.ClientTerminated or Iperf3Error.ControlClosed;
        if (e.Error == Iperf3Error.ClientTerminated) running.EndEarly();
        running.Test?.End();
        report.Failed(left ? "" : "error", e.Error == Iperf3Error.ControlClosed ? "the client has unexpectedly closed the connection" : e.Message, running.Test);
        return !left;
    }

    private async Task LingerAsync(ControlChannel control, Iperf3Error error)
    {
        using var limit = new Patience(environment.Time, s_linger);
        await control.SendErrorAsync(error, limit.Token);
        control.Connection.Dispose();
    }

    private static async Task TellAsync(ControlChannel control, ControlState state)
    {
        try
        {
            await control.SendAsync(state);
        }
        catch (Iperf3Exception)
        {
            // The client is gone already.
        }
    }

    /// <summary>One test of a server.</summary>
    private sealed class ServerTest(Iperf3Server server, ControlChannel control)
    {
        private readonly List<UdpSocket> _greeters = [];

        internal Iperf3Test? Test { get; private set; }

        internal void EndEarly()
        {
            if (Test is not { HasStarted: true, IsRunning: true }) return;
            Test.End();
            server.Report.Summary(Test);
        }

        internal async Task RunAsync(CancellationToken cancel)
        {
            control.Connection.NoDelay = true;
            Test = new Iperf3Test(server._engine, server.Options, server.Environment, server.Report, await AgreeAsync(cancel));
            server.Report.Accepted(Test.Parameters, control.Connection.RemoteEndPoint, Settings.Text(server._cookie!), server.Environment.Time.GetUtcNow());
            var next = await CreateStreamsAsync(Test, cancel);
            await control.SendAsync(ControlState.TestStart);
            server.Report.Started(Test);
            await control.SendAsync(ControlState.TestRunning);
            Test.Begin();
            while (true)
            {
                if (Test.IsRunning && await Task.WhenAny(next, Test.Enough) == Test.Enough && Test.Enough.IsFaulted) await Test.Enough;
                switch (await next)
                {
                    case ControlState.TestEnd when Test.IsRunning:
                        await FinishAsync(Test, cancel);
                        break;
                    case ControlState.IperfDone:
                        return;
                    case ControlState.ClientTerminate:
                        throw new Iperf3Exception(Iperf3Error.ClientTerminated);
                    case null:
                        throw new Iperf3Exception(Iperf3Error.ControlClosed);
                    default:
                        throw new Iperf3Exception(Iperf3Error.UnknownMessage);
                }
                next = control.ReceiveStateAsync(cancel);
            }
        }

        /// <summary>Asks for the parameters and judges them.</summary>
        private async Task<TestParameters> AgreeAsync(CancellationToken cancel)
        {
            await control.SendAsync(ControlState.ParamExchange);
            var json = await ReceiveAsync(TestParameters.BytesMax, Iperf3Error.ReceiveParameters, cancel);
            var (options, environment) = (server.Options, server.Environment);
            if (server._privateKey is { } key && !(JsonText.Text(json, "authtoken") is { } token
                && Authentication.IsGood(token, key, server._users!, environment.Time.GetUtcNow(), options.TimeSkewThreshold)))
                throw new Iperf3Exception(Iperf3Error.AuthorizationFailed);
            var parameters = TestParameters.Read(json);
            if (options.ServerBitrateLimit > 0 && parameters.Bitrate * parameters.StreamCount > options.ServerBitrateLimit) throw new Iperf3Exception(Iperf3Error.TotalRate);
            if (options.ServerMaxDuration > 0 && (parameters.Seconds == 0 || parameters.Seconds + parameters.Omit > options.ServerMaxDuration))
                throw new Iperf3Exception(Iperf3Error.ServerMaxDuration);
            var processor = parameters.ServerAffinity >= 0 ? parameters.ServerAffinity : options.Affinity;
            if (processor >= 0 && environment.Pin?.Invoke(processor) != true)
                throw new Iperf3Exception(Iperf3Error.Affinity, detail: "the system does not let the core run there");
            return parameters;
        }

        private async Task<System.Text.Json.Nodes.JsonObject> ReceiveAsync(int bytesMax, Iperf3Error onError, CancellationToken cancel)
        {
            using var limit = new Patience(server.Environment.Time, s_patience, cancel);
            try
            {
                return await control.ReceiveJsonAsync(bytesMax, onError, limit.Token);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                throw new Iperf3Exception(onError, detail: "nothing came for 10 seconds");
            }
        }

        /// <summary>Takes the streams. The read of the control connection that was begun meanwhile: a client that leaves is noticed.</summary>
        private async Task<Task<ControlState?>> CreateStreamsAsync(Iperf3Test test, CancellationToken cancel)
        {
            var settings = Settings.Stream(server._engine.Stack.Options.Tcp, test.Parameters, server.Options);
            server._joinable = test.Parameters.Udp ? 0 : test.Parameters.StreamCount;
            var all = test.Parameters.Udp ? GreetAllAsync(test, BindGreeter(test)) : server._joinedAll.Task;
            await control.SendAsync(ControlState.CreateStreams);
            var next = control.ReceiveStateAsync(cancel);
            try
            {
                var patience = Task.Delay(s_patience + s_patience, server.Environment.Time, cancel);
                var first = await Task.WhenAny(all, next, patience);
                if (first == next) throw new Iperf3Exception(await next switch
                {
                    null => Iperf3Error.ControlClosed,
                    ControlState.ClientTerminate => Iperf3Error.ClientTerminated,
                    _ => Iperf3Error.UnknownMessage,
                });
                await first;
                if (first == patience) throw new Iperf3Exception(Iperf3Error.StreamAccept, SocketError.TimedOut);
            }
            finally
            {
                foreach (var greeter in _greeters) greeter.Dispose();
            }
            if (!test.Parameters.Udp) TakeJoined(test, settings);
            foreach (var stream in test.Streams)
            {
                server.Report.StreamConnected(stream);
                stream.Start();
            }
            return next;
        }

        private void TakeJoined(Iperf3Test test, Core.Tcp.TcpSettings settings)
        {
            // In the order in which the client opened them: that is what the numbers of results mean.
            server._joined.Sort(static (a, b) => a.Order.CompareTo(b.Order));
            foreach (var (_, connection) in server._joined)
            {
                connection.Options.Settings = settings;
                test.Streams.Add(new TcpTestStream(test, test.Streams.Count, IsSender(test), connection));
            }
            server._joined.Clear();
        }

        private static bool IsSender(Iperf3Test test) => test.Streams.Count < test.Parameters.Parallel ? test.Parameters.Reverse : !test.Parameters.Reverse;

        private UdpSocket BindGreeter(Iperf3Test test)
        {
            try
            {
                var greeter = server.Network.BindUdp(server.ListenAt(), Settings.Datagrams(test.Parameters));
                _greeters.Add(greeter);
                return greeter;
            }
            catch (SocketException e)
            {
                throw new Iperf3Exception(Iperf3Error.CreateStream, e.SocketErrorCode);
            }
        }

        /// <summary>A first datagram from the client makes the socket that got it a stream; the next one waits at another.</summary>
        private async Task GreetAllAsync(Iperf3Test test, UdpSocket greeter)
        {
            var client = control.Connection.RemoteEndPoint!.Address;
            var buffer = new byte[64];
            while (test.Streams.Count < test.Parameters.StreamCount)
            {
                UdpReceived received;
                try
                {
                    received = await greeter.ReceiveFromAsync(buffer);
                }
                catch (Exception e) when (e is SocketException or ObjectDisposedException)
                {
                    return;
                }
                if (received.ReceivedBytes != 4 || !received.RemoteEndpoint.Address.ToIPAddress().Equals(client)) continue;
                var word = BinaryPrimitives.ReadUInt32LittleEndian(buffer);
                if (word is not (UdpTestStream.Hello or UdpTestStream.OldHello)) continue;
                await greeter.ConnectAsync(new IPEndPoint(client, received.RemoteEndpoint.Port));
                _greeters.Remove(greeter);
                test.Streams.Add(new UdpTestStream(test, test.Streams.Count, IsSender(test), greeter));
                var answering = greeter;
                // The next socket is there before the client hears that it may greet again.
                if (test.Streams.Count < test.Parameters.StreamCount) greeter = BindGreeter(test);
                BinaryPrimitives.WriteUInt32LittleEndian(buffer, word == UdpTestStream.Hello ? UdpTestStream.Answer : UdpTestStream.OldAnswer);
                await answering.SendAsync(buffer.AsMemory(0, 4));
            }
        }

        private async Task FinishAsync(Iperf3Test test, CancellationToken cancel)
        {
            test.End();
            server.Report.Summary(test);
            // A client that receives may be in the middle of a block, whose rest will not come: only the end of the stream lets it go on.
            foreach (var stream in test.Streams) stream.Dispose();
            await control.SendAsync(ControlState.ExchangeResults);
            test.TakeResults(await ReceiveAsync(ResultBytesMax, Iperf3Error.ReceiveResults, cancel));
            await control.SendJsonAsync(test.Results(), Iperf3Error.SendResults);
            await control.SendAsync(ControlState.DisplayResults);
        }
    }
}
