// The client's half of the protocol: connect, do what the server's bytes ask for, end the test, exchange results.
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Peregrine.Core.Time;
using Peregrine.Sockets;

namespace Peregrine.Iperf3;

internal sealed class Iperf3Client(Network network, Iperf3Options options, Iperf3Environment environment, Report report)
{
    /// <summary>Bytes of the server's results that are read at most: its whole output may be in them.</summary>
    private const int ResultBytesMax = 16 << 20;

    /// <summary>How long the end waits for acknowledgments of what the streams have queued.</summary>
    private static readonly Duration s_drainMax = Duration.FromMilliseconds(500);

    private readonly SocketEngine _engine = network.Engine;
    private readonly byte[] _cookie = Settings.CreateCookie(environment);
    private ControlChannel? _control;
    private Iperf3Test? _test;

    /// <summary>Runs the test. The exit status.</summary>
    internal async Task<int> RunAsync(CancellationToken cancel)
    {
        report.Connecting(options);
        try
        {
            await ConnectAsync(cancel);
            await FollowAsync(cancel);
            report.Done(_test!);
            return 0;
        }
        catch (Iperf3Exception e)
        {
            _test?.End();
            report.Failed("error", e.Message, _test);
            // iperf3 leaves with 0 when the error is in its JSON.
            return options.IsJson ? 0 : 1;
        }
        catch (OperationCanceledException)
        {
            await InterruptAsync();
            return 1;
        }
        finally
        {
            _test?.Dispose();
            _control?.Connection.Dispose();
        }
    }

    private async Task ConnectAsync(CancellationToken cancel)
    {
        var most = options.ConnectTimeoutMs > 0 ? TimeSpan.FromMilliseconds(options.ConnectTimeoutMs) : Timeout.InfiniteTimeSpan;
        using var limit = new Patience(environment.Time, most, cancel);
        try
        {
            var address = await ResolveAsync(limit.Token);
            var how = new TcpConnectionOptions
            {
                LocalEndPoint = Settings.Bind(options, 0, address.AddressFamily, Iperf3Error.Connect),
                Settings = Settings.Control(_engine.Stack.Options.Tcp, options),
            };
            _control = new ControlChannel(await network.ConnectTcpAsync(new IPEndPoint(address, options.Port), how, limit.Token));
            _control.Connection.NoDelay = true;
        }
        catch (SocketException e)
        {
            throw new Iperf3Exception(Iperf3Error.Connect, e.SocketErrorCode);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new Iperf3Exception(Iperf3Error.Connect, SocketError.TimedOut);
        }
        await _control.SendCookieAsync(_cookie);
    }

    private async Task<IPAddress> ResolveAsync(CancellationToken cancel)
    {
        var addresses = await network.Resolver.ResolveAsync(options.Host!, cancel);
        var wanted = options.Family switch { 4 => AddressFamily.InterNetwork, 6 => AddressFamily.InterNetworkV6, _ => AddressFamily.Unspecified };
        return Array.Find(addresses, address => wanted == AddressFamily.Unspecified || address.AddressFamily == wanted)
            ?? throw new SocketException((int)SocketError.AddressFamilyNotSupported);
    }

    /// <summary>Does what the server says until it is done.</summary>
    private async Task FollowAsync(CancellationToken cancel)
    {
        var next = _control!.ReceiveStateAsync(cancel);
        while (true)
        {
            if (_test is { IsRunning: true } running && await Task.WhenAny(next, running.Enough) == running.Enough)
            {
                await running.Enough;
                await EndAsync(running, cancel);
            }
            switch (await next)
            {
                case ControlState.ParamExchange when _test == null:
                    await SendParametersAsync();
                    break;
                case ControlState.CreateStreams when _test is { Streams.Count: 0 }:
                    await CreateStreamsAsync(_test, cancel);
                    break;
                case ControlState.TestStart when _test != null:
                    report.Started(_test);
                    break;
                case ControlState.TestRunning when _test is { HasStarted: false, Streams.Count: > 0 }:
                    _test.Begin();
                    break;
                case ControlState.ExchangeResults when _test is { HasStarted: true }:
                    _test.End();
                    await _control.SendJsonAsync(_test.Results(), Iperf3Error.SendResults);
                    _test.TakeResults(await _control.ReceiveJsonAsync(ResultBytesMax, Iperf3Error.ReceiveResults, cancel));
                    break;
                case ControlState.DisplayResults when _test is { HasStarted: true, IsRunning: false }:
                    report.Summary(_test);
                    await _control.SendAsync(ControlState.IperfDone);
                    return;
                case ControlState.AccessDenied:
                    throw new Iperf3Exception(Iperf3Error.AccessDenied);
                case ControlState.ServerTerminate:
                    throw new Iperf3Exception(Iperf3Error.ServerTerminated);
                case ControlState.ServerError:
                    throw await _control.ReceiveErrorAsync(cancel);
                case null:
                    throw new Iperf3Exception(Iperf3Error.ControlClosed);
                default:
                    throw new Iperf3Exception(Iperf3Error.UnknownMessage);
            }
            next = _control.ReceiveStateAsync(cancel);
        }
    }

    private async Task SendParametersAsync()
    {
        var token = options.UserName == null ? null : environment.Password == null
            ? throw new Iperf3Exception(Iperf3Error.ClientAuth)
            : Authentication.Seal(options.RsaPublicKeyPath!, options.UserName, environment.Password, environment.Time.GetUtcNow());
        var mss = _control!.Connection.GetInfo().SendMss;
        var fileLength = options is { File: { } path, Test: { Reverse: false, Bidirectional: false } } && options.Seconds == null && File.Exists(path) ? new FileInfo(path).Length : 0;
        var parameters = TestParameters.From(options, mss, fileLength, token);
        if (options.Test.ServerAffinity < 0 && options.Affinity >= 0 && environment.Pin?.Invoke(options.Affinity) != true)
            throw new Iperf3Exception(Iperf3Error.Affinity, detail: "the system does not let the core run there");
        _test = new Iperf3Test(_engine, options, environment, report, parameters);
        report.Connected(options, parameters, Settings.Text(_cookie), mss, environment.Time.GetUtcNow());
        await _control.SendJsonAsync(parameters.ToJson(), Iperf3Error.SendParameters);
    }

    private async Task CreateStreamsAsync(Iperf3Test test, CancellationToken cancel)
    {
        var p = test.Parameters;
        var remote = new IPEndPoint(_control!.Connection.RemoteEndPoint!.Address, options.Port);
        for (var i = 0; i < p.StreamCount; i++)
        {
            var isSender = i < p.Parallel ? !p.Reverse : p.Reverse;
            var local = Settings.Bind(options, options.ClientPort == 0 ? 0 : options.ClientPort + i, remote.AddressFamily, Iperf3Error.StreamConnect);
            try
            {
                TestStream stream = p.Udp
                    ? new UdpTestStream(test, i, isSender, await GreetAsync(test, local, remote, cancel))
                    : new TcpTestStream(test, i, isSender, await ConnectStreamAsync(test, local, remote, cancel));
                test.Streams.Add(stream);
                report.StreamConnected(stream);
            }
            catch (SocketException e)
            {
                throw new Iperf3Exception(Iperf3Error.StreamConnect, e.SocketErrorCode);
            }
        }
        foreach (var stream in test.Streams) stream.Start();
    }

    private async Task<TcpConnection> ConnectStreamAsync(Iperf3Test test, IPEndPoint? local, IPEndPoint remote, CancellationToken cancel)
    {
        var how = new TcpConnectionOptions { LocalEndPoint = local, Settings = Settings.Stream(_engine.Stack.Options.Tcp, test.Parameters, options) };
        var connection = await network.ConnectTcpAsync(remote, how, cancel);
        await connection.SendAsync(_cookie, cancel);
        return connection;
    }

    /// <summary>Opens a datagram stream: the server learns of it by a first datagram and answers.</summary>
    private async Task<UdpSocket> GreetAsync(Iperf3Test test, IPEndPoint? local, IPEndPoint remote, CancellationToken cancel)
    {
        var any = remote.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any;
        var socket = network.BindUdp(local ?? new IPEndPoint(any, 0), Settings.Datagrams(test.Parameters));
        try
        {
            await socket.ConnectAsync(remote, cancel);
            var greeting = new byte[4];
            BinaryPrimitives.WriteUInt32LittleEndian(greeting, UdpTestStream.Hello);
            await socket.SendAsync(greeting, cancel);
            using var limit = new Patience(environment.Time, TimeSpan.FromSeconds(30), cancel);
            if (await socket.ReceiveAsync(greeting, limit.Token) != 4) throw new Iperf3Exception(Iperf3Error.StreamRead, detail: "the server's greeting is not one");
            return BinaryPrimitives.ReadUInt32LittleEndian(greeting) is UdpTestStream.Answer or UdpTestStream.OldAnswer
                ? socket
                : throw new Iperf3Exception(Iperf3Error.StreamRead, detail: "the server's greeting is not one");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            socket.Dispose();
            throw new Iperf3Exception(Iperf3Error.StreamRead, SocketError.TimedOut);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async Task EndAsync(Iperf3Test test, CancellationToken cancel)
    {
        test.End();
        // What is counted as sent is on its way; the server stops counting when it hears of the end, so the end waits for it a little.
        var until = _engine.Now + s_drainMax;
        while (test.Streams.Exists(static s => s is TcpTestStream { IsSender: true, IsDrained: false }) && _engine.Now < until)
            await Task.Delay(TimeSpan.FromMilliseconds(1), environment.Time, cancel);
        await _control!.SendAsync(ControlState.TestEnd);
    }

    private async Task InterruptAsync()
    {
        if (_test is { HasStarted: true, IsRunning: true })
        {
            _test.End();
            report.Summary(_test);
        }
        report.Failed("interrupt", "the client has terminated", _test);
        try
        {
            if (_control != null) await _control.SendAsync(ControlState.ClientTerminate);
        }
        catch (Iperf3Exception)
        {
            // The server is gone already.
        }
    }
}
