// docs/options.md, row by row: each option is a property of connections and settings and a key of the configuration, with the unit's type and
// the range that stand there; what is outside is an error that names setting and value.
using System.Globalization;
using System.Reflection;
using Microsoft.Extensions.Configuration;
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Sockets;

namespace Peregrine.Tests;

public sealed class SocketOptionTests
{
    private sealed record Row(string Kernel, string Option, string Setting, string From, string To);

    private static readonly string[] s_kernelNames =
    [
        "TCP_CORK", "TCP_NOTSENT_LOWAT", "TCP_USER_TIMEOUT", "TCP_DEFER_ACCEPT", "TCP_QUICKACK", "TCP_LINGER2", "TCP_SYNCNT", "TCP_MAXSEG", "TCP_WINDOW_CLAMP", "SO_KEEPALIVE",
        "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "SO_RCVBUF", "SO_SNDBUF", "SO_RCVLOWAT", "SO_MAX_PACING_RATE", "IP_TOS", "IPV6_TCLASS", "IP_TTL", "IPV6_FLOWLABEL",
        "TCP_CONGESTION", "TCP_NODELAY", "SO_LINGER",
    ];

    private static Row[] Rows { get; } =
    [
        .. Lines.TakeWhile(static line => line != SendersHeading).Where(static line => line.StartsWith("| `", StringComparison.Ordinal))
            .Select(static line => line.Split('|', StringSplitOptions.TrimEntries)).Select(static cells => new Row(cells[1], cells[2].Trim('`'), cells[3].Trim('`'), cells[5], cells[6])),
    ];

    private const string SendersHeading = "## Senders to the packet", BsdHeading = "## What BSD does otherwise";

    private static string[] Lines => File.ReadAllLines(Path.Combine(Root, "docs", "options.md"));

    private static string Root
    {
        get
        {
            var folder = new DirectoryInfo(AppContext.BaseDirectory);
            while (!File.Exists(Path.Combine(folder.FullName, "Peregrine.slnx"))) folder = folder.Parent ?? throw new DirectoryNotFoundException("This test needs the repository around it.");
            return folder.FullName;
        }
    }

    [Fact]
    public void TheTableHasEveryOptionOnce()
    {
        foreach (var name in s_kernelNames) Assert.Single(Rows, row => row.Kernel.Contains($"`{name}`", StringComparison.Ordinal));
        Assert.Distinct(Rows.Select(static row => row.Option));
    }

    [Fact]
    public void EachIsAKeyOfTheConfigurationWithItsRange()
    {
        foreach (var row in Rows)
        {
            foreach (var value in Within(row)) Assert.Equal(value, Text(Property(typeof(TcpSettings), row.Setting).GetValue(Bind(row, value))));
            foreach (var value in Outside(row))
            {
                var e = Assert.ThrowsAny<ArgumentException>(() => Bind(row, value));
                Assert.Contains(row.Setting, e.Message, StringComparison.Ordinal);
                Assert.Contains(value, e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public async Task EachIsAPropertyOfAnOpenConnectionWithItsRange()
    {
        await using var networks = await TestNetworks.StartAsync();
        var (client, _) = await networks.PairAsync();
        foreach (var row in Rows)
        {
            var (option, setting) = (Property(typeof(TcpSocketOptions), row.Option), Property(typeof(TcpSettings), row.Setting));
            Assert.Equal(setting.PropertyType, option.PropertyType);
            foreach (var value in Within(row))
            {
                option.SetValue(client.Options, Convert.ChangeType(value, option.PropertyType, CultureInfo.InvariantCulture));
                Assert.Equal((value, value), (Text(option.GetValue(client.Options)), Text(setting.GetValue(client.Options.Settings))));
            }
            foreach (var value in Outside(row).Where(_ => option.PropertyType != typeof(bool)))
            {
                var wrong = Convert.ChangeType(value, option.PropertyType, CultureInfo.InvariantCulture);
                var e = Assert.IsType<ArgumentOutOfRangeException>(Assert.Throws<TargetInvocationException>(() => option.SetValue(client.Options, wrong)).InnerException);
                Assert.Contains(row.Setting, e.Message, StringComparison.Ordinal);
                Assert.Contains(value, e.Message, StringComparison.Ordinal);
            }
        }
        client.Options.SetQuickAck(true);
        Assert.Equal(nameof(System.Net.Sockets.SocketError.Success), client.GetInfo().SoftError.ToString());
    }

    [Fact]
    public void AKeyThatIsNoneIsNamed() =>
        Assert.Contains("Corc is no setting", Assert.Throws<ArgumentException>(() => Bind(new Row("", "", "Corc", "", ""), "true")).Message, StringComparison.Ordinal);

    private static IEnumerable<string> Within(Row row) => row.From switch
    {
        "" => ["reno", "cubic"],
        _ => row.From == row.To ? [row.From] : [row.From, row.To],
    };

    private static IEnumerable<string> Outside(Row row)
    {
        if (row.From == "") return ["vegas"];
        if (row.From == "false") return ["maybe"];
        var (from, to) = (long.Parse(row.From, CultureInfo.InvariantCulture), long.Parse(row.To, CultureInfo.InvariantCulture));
        return [Text(from - 1), Text(to + 1)];
    }

    [Fact]
    public void EachMechanismOfSendersIsASwitchAndNeedsAHistoryWhereTheTableSaysSo()
    {
        var rows = Lines.SkipWhile(static line => line != SendersHeading).TakeWhile(static line => line != BsdHeading).Where(static line => line.StartsWith("| `", StringComparison.Ordinal))
            .Select(static line => line.Split('|', StringSplitOptions.TrimEntries)).Select(static cells => (Name: cells[1].Trim('`'), NeedsHistory: cells[2] == "yes")).ToArray();
        Assert.Equal(15, rows.Length);
        foreach (var (name, needsHistory) in rows)
        {
            var section = new ConfigurationBuilder().AddInMemoryCollection(
                rows.Select(row => KeyValuePair.Create($"P:Stack:Tcp:{row.Name}", (string?)(row.Name == name).ToString())).Append(new("P:Stack:Tcp:PacketSender", "true"))).Build().GetSection("P");
            var said = "";
            try
            {
                Assert.Equal(true, Property(typeof(TcpSettings), name).GetValue(PeregrineConfiguration.Bind(section).Stack.Tcp));
            }
            catch (ArgumentException e)
            {
                said = e.Message;
            }
            Assert.Equal(needsHistory, said.Contains($"SenderHistoryCountMax is 0; it must be from 1 to 16777216 with PacketSender and any of {name}", StringComparison.Ordinal));
        }
    }

    [Fact]
    public void EachOfBsdsWaysHasTheDefaultTheProfilesValueAndTheRangeThatTheTableSays()
    {
        var rows = Lines.SkipWhile(static line => line != BsdHeading).Where(static line => line.StartsWith("| `", StringComparison.Ordinal))
            .Select(static line => line.Split('|', StringSplitOptions.TrimEntries).Select(static cell => cell.Trim('`')).ToArray()).ToArray();
        Assert.Equal(7, rows.Length);
        foreach (var row in rows.Where(static row => row[1] != nameof(StackOptions.BlackHole)))
        {
            var property = Property(typeof(TcpSettings), row[1]);
            Assert.Equal((row[5], row[6]), (Text(property.GetValue(TcpSettings.Default)), Text(property.GetValue(TcpProfile.FreeBsd.Connection))));
            var (key, isNumber) = (new Row("", "", row[1], row[3], row[4]), row[3] != "");
            foreach (var value in isNumber ? [row[3], row[4]] : new[] { "true", "false" }) Assert.Equal(value, Text(property.GetValue(Bind(key, value))));
            foreach (var value in isNumber ? Outside(key) : ["maybe"]) Assert.Contains($"{row[1]} is ", Assert.ThrowsAny<ArgumentException>(() => Bind(key, value)).Message, StringComparison.Ordinal);
        }
        var words = rows.Single(static row => row[1] == nameof(StackOptions.BlackHole))[2].Split(", ").Select(static word => word.Trim('`'));
        Assert.Equal(Enum.GetNames<TcpBlackHole>(), words);
        foreach (var word in words) Assert.Equal(word, Black(word).ToString());
        Assert.Equal((TcpBlackHole.None, TcpBlackHole.None), (new StackOptions().BlackHole, TcpProfile.FreeBsd.Apply(new StackOptions()).BlackHole));
        Assert.Contains(nameof(StackOptions.BlackHole), Assert.ThrowsAny<ArgumentException>(static () => Black("Some")).Message, StringComparison.Ordinal);
    }

    private static TcpBlackHole Black(string word) =>
        PeregrineConfiguration.Bind(new ConfigurationBuilder().AddInMemoryCollection([new("P:Stack:BlackHole", word)]).Build().GetSection("P")).Stack.BlackHole;

    private static TcpSettings Bind(Row row, string value)
    {
        // A buffer's size starts below its largest size.
        Dictionary<string, string?> values = new() { ["P:Stack:Tcp:" + row.Setting] = value };
        if (row.Setting is "ReceiveBufferBytes" or "SendBufferBytes") values[$"P:Stack:Tcp:{row.Setting}Max"] = "1073741824";
        if (row.Setting == "ReceiveBufferBytesMax") values["P:Stack:Tcp:ReceiveBufferBytes"] = "2048";
        return PeregrineConfiguration.Bind(new ConfigurationBuilder().AddInMemoryCollection(values).Build().GetSection("P")).Stack.Tcp;
    }

    private static PropertyInfo Property(Type type, string name) => type.GetProperty(name) ?? throw new InvalidOperationException($"{type.Name} has no {name}.");

    private static string Text(object? value) => value is bool flag ? flag ? "true" : "false" : Convert.ToString(value, CultureInfo.InvariantCulture)!;
}
