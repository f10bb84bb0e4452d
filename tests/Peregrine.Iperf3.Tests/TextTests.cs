// Our text beside that of Debian's iperf3: the same lines in the same order, on both ends, whatever their numbers are. Debian's two ends speak over the
// loopback, ours over a link in memory.
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Peregrine.Iperf3.Tests;

[Trait("emulation", "throws")]
public sealed partial class TextTests
{
    private const string Program = "/usr/bin/iperf3";

    [Theory]
    [InlineData("-t 1 -i 0.5")]
    [InlineData("-t 1 -i 0.5 -R")]
    [InlineData("-t 1 -i 0.5 -P 2")]
    [InlineData("-t 1 -i 0.5 -P 2 -R")]
    [InlineData("-t 1 -i 0.5 --bidir")]
    [InlineData("-t 1 -i 0.5 --bidir -P 2")]
    [InlineData("-t 1 -i 0.5 -O 1")]
    [InlineData("-n 5M")]
    [InlineData("-k 50 -l 4K -b 2M -i 0.5")]
    [InlineData("-t 1 -i 0")]
    [InlineData("-t 1 -i 0.5 -f k -T name")]
    [InlineData("-t 1 -i 0.5 -V")]
    [InlineData("-t 1 -i 0.5 -V -R")]
    [InlineData("-t 1 -i 0.5 -V -b 10M -M 1000")]
    [InlineData("-t 1 -i 0.5 --get-server-output")]
    [InlineData("-u -t 1 -i 0.5 -b 2M")]
    [InlineData("-u -t 1 -i 0.5 -b 2M -R")]
    [InlineData("-u -t 1 -i 0.5 -b 2M -P 2")]
    [InlineData("-u -t 1 -i 0.5 -b 2M --bidir")]
    [InlineData("-u -t 1 -i 0.5 -b 2M -V")]
    [InlineData("-u -t 1 -i 0.5 -b 2M -V -R --get-server-output")]
    public async Task BothEndsPrintTheLinesThatIperf3Prints(string arguments)
    {
        Assert.SkipUnless(File.Exists(Program), "not run: iperf3 is not installed");
        var words = arguments.Split(' ');
        string[] serverWords = words.Contains("-V") ? ["-V"] : [];
        var running = TheirsAsync(words, serverWords);
        await using var pair = await TestPair.StartAsync(["-1", .. serverWords]);
        var (status, client, errors) = await pair.RunClientAsync(words);
        Assert.Equal((0, ""), (status, errors));
        await pair.Serving.WaitAsync(TestPair.Limit);
        var theirs = await running;
        Assert.Equal(Shape(theirs.Client), Shape(client));
        Assert.Equal(Shape(theirs.Server), Shape(pair.ServerOutput));
    }

    [Theory]
    [InlineData("[  5]   0.00-1.00   sec   112 MBytes   941 Mbits/sec    0    300 KBytes       ", "[ #] #-# sec # ?Bytes # ?bits/sec # # ?Bytes ")]
    [InlineData("iperf Done.", "iperf Done.")]
    public void AShapeKeepsWordsAndLosesNumbers(string line, string shape) => Assert.Equal(shape, Shape(line + "\n"));

    private static async Task<(string Client, string Server)> TheirsAsync(string[] words, string[] serverWords)
    {
        var port = FreePort().ToString(System.Globalization.CultureInfo.InvariantCulture);
        using var server = Start(["-s", "-1", "-p", port, "--forceflush", .. serverWords]);
        using var limit = new CancellationTokenSource(TestPair.Limit);
        try
        {
            var text = new System.Text.StringBuilder();
            // It listens once it says so; a look at the port would be its one test.
            while (!text.ToString().Contains("listening", StringComparison.Ordinal))
                text.Append(await server.StandardOutput.ReadLineAsync(limit.Token) ?? throw new InvalidOperationException("iperf3 -s ended at once")).Append('\n');
            var rest = server.StandardOutput.ReadToEndAsync(limit.Token);
            using var client = Start(["-c", "127.0.0.1", "-p", port, .. words]);
            var output = await client.StandardOutput.ReadToEndAsync(limit.Token);
            await client.WaitForExitAsync(limit.Token);
            Assert.Equal(0, client.ExitCode);
            return (output, text.Append(await rest).ToString());
        }
        finally
        {
            if (!server.HasExited) server.Kill();
        }
    }

    private static Process Start(string[] arguments) =>
        Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true, UseShellExecute = false })!;

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    // Numbers, unit prefixes and what a machine or a moment is called say nothing about the form. Rows of one form in sequence count as one: the last
    // interval can be cut in two, and the machine decides how many there are.
    private static string Shape(string text)
    {
        var lines = new List<string>();
        foreach (var line in text.Split('\n'))
        {
            if (line.StartsWith("iperf 3", StringComparison.Ordinal) || line.StartsWith("Linux ", StringComparison.Ordinal) || line == "Peregrine") continue;
            var shape = Changing().Replace(line, "$1 *");
            shape = Prefixes().Replace(Numbers().Replace(shape, "#"), "?$1");
            shape = Spaces().Replace(shape, " ");
            lines.Add(shape);
            // A row by itself, or those of all streams with their sum and the line between.
            for (var rows = 1; rows <= 8 && 2 * rows <= lines.Count; rows++)
            {
                if (!lines[^rows..].SequenceEqual(lines[^(2 * rows)..^rows])) continue;
                lines.RemoveRange(lines.Count - rows, rows);
                break;
            }
        }
        return string.Join('\n', lines).TrimEnd('\n');
    }

    [GeneratedRegex(@"^( *Cookie:|Time:|snd_tcp_congestion|rcv_tcp_congestion) .*")]
    private static partial Regex Changing();

    [GeneratedRegex(@"\d+(\.\d+)*(e[-+]\d+)?")]
    private static partial Regex Numbers();

    [GeneratedRegex("[KMGT]?(Bytes|bits/sec)")]
    private static partial Regex Prefixes();

    [GeneratedRegex(" +")]
    private static partial Regex Spaces();
}
