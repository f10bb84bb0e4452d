// Control connections that are not as they should be: each ends with an error in words at the server, and the next client is served.
using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using Peregrine.Sockets;

namespace Peregrine.Iperf3.Tests;

public sealed class MalformedPeerTests
{
    private const string Good = """{"tcp":true,"omit":0,"time":1,"parallel":1,"len":131072,"client_version":"3.12"}""";

    [Theory]
    [InlineData("{\"a\":", "the peer sent something that is no JSON object")]
    [InlineData("[1]", "the peer sent something that is no JSON object")]
    [InlineData("{\"tcp\":true,\"parallel\":10000}", "parallel is 10000; it must be from 1 to 128")]
    [InlineData("{\"tcp\":true,\"len\":-5}", "len is -5; it must be from 1 to 1048576")]
    [InlineData("{\"udp\":true,\"len\":4}", "len is 4; it must be from 12 to 65507")]
    [InlineData("{\"tcp\":true,\"MSS\":1e300}", "MSS is -1; it must be from 0 to 9216")]
    [InlineData("{\"sctp\":true}", "the client wants SCTP, which this stack has not")]
    public async Task BadParametersAreNamed(string json, string words)
    {
        await using var pair = await TestPair.StartAsync();
        using var client = await ConnectAsync(pair, 'a');
        await client.SendAsync(Framed(json));
        // ServerError, then iperf3's number for "unable to receive parameters" and the system's.
        Assert.Equal((byte[])[0xFE, 0, 0, 0, 114, 0, 0, 0, 0], await ReadAsync(client, 9));
        await ExpectAliveAsync(pair, "iperf3: error - unable to receive parameters from client: " + words);
    }

    [Fact]
    public async Task OversizedJsonIsRefusedUnread()
    {
        await using var pair = await TestPair.StartAsync();
        using var client = await ConnectAsync(pair, 'a');
        await client.SendAsync(new byte[] { 0x7F, 0xFF, 0xFF, 0xFF, (byte)'{' });
        Assert.Equal(0xFE, (await ReadAsync(client, 9))[0]);
        await ExpectAliveAsync(pair, "the peer announced 2147483647 bytes of JSON; at most 8192 are taken");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(36)]
    public async Task WhoLeavesBeforeHisCookieIsCompleteIsForgotten(int length)
    {
        await using var pair = await TestPair.StartAsync();
        using (var client = await pair.Client.ConnectTcpAsync(TestPair.At))
        {
            if (length > 0) await client.SendAsync(new byte[length]);
        }
        Assert.Equal(0, (await pair.RunClientAsync("-n", "100K")).Status);
        Assert.Equal("", pair.ServerErrors);
    }

    [Theory]
    [InlineData(0, "iperf3: error - unable to receive parameters from client: the peer closed the connection")]
    [InlineData(2, "iperf3: error - unable to receive parameters from client: the peer closed the connection")]
    [InlineData(20, "iperf3: error - unable to receive parameters from client: the peer closed after 16 of LENGTH bytes of JSON")]
    public async Task WhoLeavesBeforeHisParametersAreComplete(int length, string words)
    {
        await using var pair = await TestPair.StartAsync();
        using (var client = await ConnectAsync(pair, 'a'))
        {
            if (length > 0) await client.SendAsync(Framed(Good).AsMemory(0, length));
        }
        await ExpectAliveAsync(pair, words.Replace("LENGTH", $"{Good.Length}", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AWrongCookieIsDeniedAndTheTestGoesOn()
    {
        await using var pair = await TestPair.StartAsync();
        using var client = await ConnectAsync(pair, 'a');
        await client.SendAsync(Framed(Good));
        Assert.Equal((byte[])[(byte)ControlState.CreateStreams], await ReadAsync(client, 1));
        using var stranger = await pair.Client.ConnectTcpAsync(TestPair.At);
        await stranger.SendAsync(Cookie('b'));
        Assert.Equal((byte[])[0xFF], await ReadAsync(stranger, 1));
        var busy = await pair.RunClientAsync("-n", "100K");
        Assert.Equal((1, "iperf3: error - the server is busy running a test. try again later\n"), (busy.Status, busy.Errors));
        using var stream = await pair.Client.ConnectTcpAsync(TestPair.At);
        await stream.SendAsync(Cookie('a'));
        Assert.Equal((byte[])[(byte)ControlState.TestStart, (byte)ControlState.TestRunning], await ReadAsync(client, 2));
        client.Dispose();
        await ExpectAliveAsync(pair, "iperf3: the client has unexpectedly closed the connection");
    }

    [Theory]
    [InlineData(0x63, "iperf3: error - received an unknown control message")]
    [InlineData(16, "iperf3: error - received an unknown control message")]
    [InlineData(12, "iperf3: the client has terminated")]
    public async Task AStateThatIsNotItsTurnEndsTheTest(byte state, string words)
    {
        await using var pair = await TestPair.StartAsync();
        using var client = await ConnectAsync(pair, 'a');
        await client.SendAsync(Framed(Good));
        await ReadAsync(client, 1);
        // Before the streams are there even the right bytes are wrong.
        await client.SendAsync(new[] { state });
        await ExpectAliveAsync(pair, words);
    }

    [Fact]
    public async Task AServersStreamsEndWithTheTest()
    {
        await using var pair = await TestPair.StartAsync();
        using var client = await ConnectAsync(pair, 'a');
        await client.SendAsync(Framed(Good.Replace("\"omit\"", "\"reverse\":true,\"omit\"", StringComparison.Ordinal)));
        await ReadAsync(client, 1);
        using var stream = await pair.Client.ConnectTcpAsync(TestPair.At);
        await stream.SendAsync(Cookie('a'));
        await ReadAsync(client, 2);
        await ReadAsync(stream, 1_000);
        await client.SendAsync(new[] { (byte)ControlState.TestEnd });
        // A client that reads whole blocks sends its results only when the block that it reads has come or the stream has ended.
        var buffer = new byte[65_536];
        while (await stream.ReceiveAsync(buffer).AsTask().WaitAsync(TestPair.Limit) > 0)
        {
        }
        Assert.Equal((byte[])[(byte)ControlState.ExchangeResults], await ReadAsync(client, 1));
        client.Dispose();
        await ExpectAliveAsync(pair, "unable to receive results: the peer closed the connection");
    }

    [Theory]
    [InlineData("{\"a\":", "the peer sent something that is no JSON object")]
    [InlineData("{}", "there are no streams in them")]
    [InlineData("{\"streams\":[{\"id\":7}]}", "a stream is missing in them")]
    public async Task BadResultsAreNamed(string json, string words)
    {
        await using var pair = await TestPair.StartAsync();
        using var client = await ConnectAsync(pair, 'a');
        await client.SendAsync(Framed(Good));
        await ReadAsync(client, 1);
        using var stream = await pair.Client.ConnectTcpAsync(TestPair.At);
        await stream.SendAsync(Cookie('a'));
        await ReadAsync(client, 2);
        await client.SendAsync(new[] { (byte)ControlState.TestEnd });
        Assert.Equal((byte[])[(byte)ControlState.ExchangeResults], await ReadAsync(client, 1));
        await client.SendAsync(Framed(json));
        await ExpectAliveAsync(pair, "iperf3: error - unable to receive results: " + words);
    }

    private static async Task ExpectAliveAsync(TestPair pair, string words)
    {
        // The server needs a moment to see the old client go; until then it says that it is busy.
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        for (var looked = 0; looked < 12_000 && !pair.ServerErrors.Contains(words, StringComparison.Ordinal); looked++) await timer.WaitForNextTickAsync();
        Assert.Contains(words, pair.ServerErrors, StringComparison.Ordinal);
        var (status, _, errors) = await pair.RunClientAsync("-n", "100K");
        Assert.True(status == 0, errors);
    }

    private static async Task<TcpConnection> ConnectAsync(TestPair pair, char letter)
    {
        var client = await pair.Client.ConnectTcpAsync(TestPair.At);
        await client.SendAsync(Cookie(letter));
        Assert.Equal((byte[])[(byte)ControlState.ParamExchange], await ReadAsync(client, 1));
        return client;
    }

    private static byte[] Cookie(char letter) => Encoding.ASCII.GetBytes(new string(letter, 36) + "\0");

    private static byte[] Framed(string json)
    {
        var message = new byte[4 + json.Length];
        BinaryPrimitives.WriteInt32BigEndian(message, json.Length);
        Encoding.ASCII.GetBytes(json, message.AsSpan(4));
        return message;
    }

    private static async Task<byte[]> ReadAsync(TcpConnection connection, int length)
    {
        var bytes = new byte[length];
        for (var held = 0; held < length;)
        {
            var count = await connection.ReceiveAsync(bytes.AsMemory(held)).AsTask().WaitAsync(TestPair.Limit);
            if (count == 0) throw new SocketException((int)SocketError.ConnectionReset);
            held += count;
        }
        return bytes;
    }
}
