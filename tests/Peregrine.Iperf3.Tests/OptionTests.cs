// What the single options do, or the error that says why they cannot.
using System.Text.Json.Nodes;

namespace Peregrine.Iperf3.Tests;

public sealed class OptionTests
{
    [Theory]
    [InlineData("-6 -n 1M")]
    [InlineData("-6 -n 1M -R")]
    [InlineData("-6 -u -k 50 -b 5M")]
    public async Task TheOtherFamilyWorksAlike(string arguments)
    {
        await using var pair = await TestPair.StartAsync();
        var json = await pair.MeasureAsync(["-c", TestPair.ServerAddressV6, .. arguments.Split(' ')]);
        Assert.Equal(TestPair.ServerAddressV6, json["start"]!["connected"]![0]!["remote_host"]!.GetValue<string>());
        Assert.True(json["end"]!["sum_received"]!["bytes"]!.GetValue<double>() > 0, json["end"]!.ToJsonString());
    }

    [Fact]
    public async Task AFileIsSentAndWrittenByteForByte()
    {
        var folder = Directory.CreateTempSubdirectory("peregrine-iperf3-").FullName;
        try
        {
            var (source, copy) = (Path.Combine(folder, "source"), Path.Combine(folder, "copy"));
            var bytes = new byte[700_001];
            new Random(3).NextBytes(bytes);
            await File.WriteAllBytesAsync(source, bytes);
            await using (var pair = await TestPair.StartAsync("-1", "-F", copy))
            {
                var (status, _, errors) = await pair.RunClientAsync("-F", source);
                Assert.True(status == 0, errors);
                Assert.Equal(0, await pair.Serving.WaitAsync(TestPair.Limit));
            }
            Assert.Equal(bytes, await File.ReadAllBytesAsync(copy));
            await using var other = await TestPair.StartAsync();
            var missing = await other.RunClientAsync("-F", Path.Combine(folder, "none"));
            Assert.Equal(1, missing.Status);
            Assert.StartsWith("iperf3: error - unable to open -F file: ", missing.Errors, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task EachEndRunsOnTheProcessorThatIsAskedFor()
    {
        await using var pair = await TestPair.StartAsync();
        Assert.Equal(0, (await pair.RunClientAsync("-n", "100K", "-A", "0")).Status);
        Assert.Equal([0], pair.Pinned);
        Assert.Equal(0, (await pair.RunClientAsync("-n", "100K", "-A", "0,1")).Status);
        Assert.Contains(1, pair.Pinned);
        var refused = await pair.RunClientAsync("-n", "100K", "-A", "1000");
        Assert.Equal(1, refused.Status);
        Assert.Contains("unable to set CPU affinity", refused.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TheClientsAddressAndPortAreThoseAskedFor()
    {
        await using var pair = await TestPair.StartAsync();
        var json = await pair.MeasureAsync("-n", "100K", "-B", "10.9.0.2", "--cport", "5555", "-P", "2");
        var connected = json["start"]!["connected"]!.AsArray();
        Assert.Equal(["10.9.0.2", "10.9.0.2"], connected.Select(static stream => stream!["local_host"]!.GetValue<string>()));
        Assert.Equal([5555, 5556], connected.Select(static stream => stream!["local_port"]!.GetValue<int>()));
        var foreign = await pair.RunClientAsync("-n", "100K", "-B", "10.9.0.77");
        Assert.Equal(1, foreign.Status);
        Assert.NotEmpty(foreign.Errors);
    }

    [Fact]
    public async Task BufferSegmentAndServiceAreSaidAndUsed()
    {
        await using var pair = await TestPair.StartAsync();
        var json = await pair.MeasureAsync("-n", "1M", "-w", "64K", "-M", "600", "-S", "0x20", "-Z", "-N");
        var start = json["start"]!;
        Assert.Equal((65_536, 65_536, 65_536), (Number(start, "sock_bufsize"), Number(start, "sndbuf_actual"), Number(start, "rcvbuf_actual")));
        Assert.Equal(600, Number(start, "tcp_mss"));
        Assert.Equal(0x20, Number(start["test_start"]!, "tos"));
        var stream = json["end"]!["streams"]![0]!["sender"]!;
        // What the connection itself says: an IPv4 packet with a segment of that size.
        Assert.Equal(640, Number(json["intervals"]![0]!["streams"]![0]!, "pmtu"));
        Assert.InRange(stream["max_snd_wnd"]!.GetValue<long>(), 1, 65_536);
        Assert.False(Iperf3Arguments.TryParse(["-c", TestPair.ServerAddress, "-M", "9217"], out _, out var error));
        Assert.Equal("iperf3: parameter error - TCP MSS too large (maximum = 9216 bytes)", error);
    }

    [Fact]
    public async Task AServersOutputComesWithoutWhatTheClientNamed()
    {
        await using var pair = await TestPair.StartAsync("-J");
        var json = await pair.MeasureAsync("-n", "100K", "-T", "name", "--extra-data", "more", "--get-server-output");
        Assert.Equal(("name", "more"), (json["title"]!.GetValue<string>(), json["extra_data"]!.GetValue<string>()));
        Assert.Equal(["start", "intervals", "end"], json["server_output_json"]!.AsObject().Select(static member => member.Key));
    }

    [Fact]
    public async Task IntervalsAreAsLongAsAskedForAndNoneWhereNone()
    {
        await using var pair = await TestPair.StartAsync();
        // Twenty on a machine with time; one that has hardly any skips some, and the default would be two.
        var measured = await pair.MeasureAsync("-t", "2", "-i", "0.1", "-b", "10M");
        var intervals = measured["intervals"]!.AsArray();
        Assert.InRange(intervals.Count, 3, 21);
        Assert.Equal(measured["end"]!["sum_sent"]!["bytes"]!.GetValue<double>(), intervals.Sum(static interval => interval!["sum"]!["bytes"]!.GetValue<double>()));
        Assert.InRange((await pair.MeasureAsync("-t", "1", "-i", "0", "-b", "10M"))["intervals"]!.AsArray().Count, 0, 1);
    }

    [Fact]
    public async Task TheRateIsNotPassed()
    {
        await using var pair = await TestPair.StartAsync();
        // A machine that is busy may send less, and never more than a block beyond it.
        var sent = (await pair.MeasureAsync("-t", "1", "-b", "8M", "-l", "10K"))["end"]!["sum_sent"]!;
        Assert.InRange(sent["bytes"]!.GetValue<double>(), 1, (sent["seconds"]!.GetValue<double>() * 1_000_000) + (3 * 10_240));
    }

    private static int Number(JsonNode json, string name) => json[name]!.GetValue<int>();
}
