// A whole test with both ends ours: what one end counts is what the other end counts, in every direction and number of streams.
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Peregrine.Iperf3.Tests;

public sealed class BothEndsOursTests
{
    [Theory]
    [InlineData("-n 3M", 3 << 20)]
    [InlineData("-n 3M -P 3", 3 << 20)]
    [InlineData("-k 20 -l 10K", 200 * 1024)]
    public async Task WhatATcpClientSendsTheServerReceives(string arguments, long leastBytes)
    {
        await using var pair = await TestPair.StartAsync("-J");
        var end = (await pair.MeasureAsync(arguments.Split(' ')))["end"]!;
        var sent = end["sum_sent"]!["bytes"]!.GetValue<long>();
        Assert.InRange(sent, leastBytes, leastBytes + (3 * 128 * 1024));
        Assert.Equal(sent, end["sum_received"]!["bytes"]!.GetValue<long>());
        Assert.Equal("cubic", end["sender_tcp_congestion"]!.GetValue<string>());
        Assert.True(end["streams"]![0]!["sender"]!["max_snd_cwnd"]!.GetValue<long>() > 0);
    }

    [Theory]
    [InlineData("-R", false)]
    [InlineData("-R -P 2", false)]
    [InlineData("--bidir", true)]
    [InlineData("--bidir -P 2", true)]
    public async Task WhatTheServerSendsIsReceivedUpToWhatWasOnTheWay(string arguments, bool both)
    {
        await using var pair = await TestPair.StartAsync();
        var json = await pair.MeasureAsync([.. arguments.Split(' '), "-n", "2M"]);
        var suffix = both ? "_bidir_reverse" : "";
        var sent = json["end"]!["sum_sent" + suffix]!["bytes"]!.GetValue<long>();
        var received = json["end"]!["sum_received" + suffix]!["bytes"]!.GetValue<long>();
        Assert.InRange(received, 1, sent);
        if (both) Assert.Equal(json["end"]!["sum_sent"]!["bytes"]!.GetValue<long>(), json["end"]!["sum_received"]!["bytes"]!.GetValue<long>());
        var streams = json["start"]!["connected"]!.AsArray().Count;
        Assert.Equal(streams, json["end"]!["streams"]!.AsArray().Count);
        Assert.Contains("Accepted connection from 10.9.0.2", pair.ServerOutput, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("--udp-counters-64bit")]
    [InlineData("-P 2 --repeating-payload")]
    public async Task DatagramsAreCountedByTheirNumbers(string arguments)
    {
        await using var pair = await TestPair.StartAsync();
        string[] more = arguments.Length == 0 ? [] : arguments.Split(' ');
        var end = (await pair.MeasureAsync(["-u", "-k", "200", "-l", "500", "-b", "20M", .. more]))["end"]!;
        var sent = end["sum_sent"]!["packets"]!.GetValue<long>();
        Assert.Equal(200, sent);
        var (received, lost) = (end["sum_received"]!["packets"]!.GetValue<long>(), end["sum_received"]!["lost_packets"]!.GetValue<long>());
        // What is still on its way when the control connection says that the test is over is not counted: how much that is, is the machine's affair.
        Assert.InRange(received, 1, sent);
        Assert.Equal((received - lost) * 500, end["sum_received"]!["bytes"]!.GetValue<long>());
    }

    [Fact]
    public async Task TheServersOutputComesWithItsResults()
    {
        await using var pair = await TestPair.StartAsync();
        var (status, output, errors) = await pair.RunClientAsync("-n", "1M", "--get-server-output", "-T", "title");
        Assert.True(status == 0, errors);
        Assert.Contains("title:  Connecting to host 10.9.0.1, port 5201\n", output, StringComparison.Ordinal);
        Assert.Contains("\nAccepted connection from 10.9.0.2, port ", output, StringComparison.Ordinal);
        Assert.EndsWith("title:  \ntitle:  iperf Done.\n", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AStreamOfJsonHasALineForEachEvent()
    {
        await using var pair = await TestPair.StartAsync();
        var (status, output, _) = await pair.RunClientAsync("-n", "1M", "--json-stream");
        Assert.Equal(0, status);
        var events = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(static line => JsonNode.Parse(line)!["event"]!.GetValue<string>()).ToList();
        Assert.Equal(["start", "interval", "end"], events);
    }

    [Fact]
    public async Task OnlyWhoKnowsThePasswordIsServed()
    {
        var folder = Directory.CreateTempSubdirectory("peregrine-iperf3-").FullName;
        try
        {
            using var key = RSA.Create(2048);
            var (secret, open, users) = (Path.Combine(folder, "private.pem"), Path.Combine(folder, "public.pem"), Path.Combine(folder, "users.csv"));
            await File.WriteAllTextAsync(secret, key.ExportPkcs8PrivateKeyPem());
            await File.WriteAllTextAsync(open, key.ExportSubjectPublicKeyInfoPem());
            // The example of iperf3's manual: the hash of "{mario}rossi".
            await File.WriteAllTextAsync(users, "# name,sha256\nmario,bf7a49a846d44b454a5d11e7acfaf13d138bbe0b7483aa3e050879700572709b\n");
            await using var pair = await TestPair.StartAsync("--rsa-private-key-path", secret, "--authorized-users-path", users);
            string[] arguments = ["-n", "100K", "--username", "mario", "--rsa-public-key-path", open];
            Assert.Equal(0, (await pair.RunClientAsync("rossi", arguments)).Status);
            var wrong = await pair.RunClientAsync("bianchi", arguments);
            Assert.Equal((1, "iperf3: error - test authorization failed\n"), (wrong.Status, wrong.Errors));
            var none = await pair.RunClientAsync("-n", "100K");
            Assert.Equal((1, "iperf3: error - test authorization failed\n"), (none.Status, none.Errors));
            Assert.Equal(0, (await pair.RunClientAsync("rossi", arguments)).Status);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task AServerOfOneTestEndsAfterIt()
    {
        await using var pair = await TestPair.StartAsync("-1");
        Assert.Equal(0, (await pair.RunClientAsync("-n", "1M")).Status);
        Assert.Equal(0, await pair.Serving.WaitAsync(TestPair.Limit));
        var refused = await pair.RunClientAsync("-n", "1M");
        Assert.Equal((1, "iperf3: error - unable to connect to server: Connection refused\n"), (refused.Status, refused.Errors));
    }

    [Fact]
    public async Task TooMuchForTheServersLimitIsRefusedInWords()
    {
        await using var pair = await TestPair.StartAsync("--server-bitrate-limit", "1M");
        var refused = await pair.RunClientAsync("-b", "2M", "-n", "1M");
        Assert.Equal((1, "iperf3: error - total required bandwidth is larger than server limit\n"), (refused.Status, refused.Errors));
        Assert.Equal(0, (await pair.RunClientAsync("-b", "900K", "-n", "1K", "-l", "1K")).Status);
    }
}
