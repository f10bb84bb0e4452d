// Shell lines of ip-route(8) and ip-link(8): what a route says of its connections becomes settings, under names of their own. There is one
// route here, and what it is, a script does not choose.
using System.Globalization;
using Peregrine.Core;
using Peregrine.Core.Tcp;

namespace Peregrine.Scripting.Running;

internal static class RouteLines
{
    /// <summary>What lines about a link's or a route's MTU are called among the settings.</summary>
    internal const string Mtu = "ip mtu";

    private const string Attribute = "ip route ";

    private static readonly string[] s_places = ["via", "dev", "src", "table", "proto", "protocol", "scope", "metric", "from", "to", "tos", "dsfield", "preference", "type", "onlink", "pervasive"];

    /// <summary>Attributes that are worth a number to everybody but us, or that only say where packets go.</summary>
    internal static bool TryRead(string line, out List<(string Name, string Value)> settings)
    {
        settings = [];
        var words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).TakeWhile(static w => !w.Contains('>', StringComparison.Ordinal)).ToList();
        words.RemoveAll(static w => w is "-4" or "-6" or "-q" or "-f" or "inet" or "inet6");
        if (words is ["ip", "link", "set", ..]) return ReadLink(words, settings);
        if (words is ["ip", "route" or "r", "show" or "list" or "get" or "flush" or "ls", ..]) return true;
        if (words is not ["ip", "route" or "r", "add" or "change" or "replace" or "append" or "del" or "delete", ..]) return false;
        if (words[2].StartsWith("del", StringComparison.Ordinal)) return true;
        // Behind the verb the destination.
        for (var i = 4; i < words.Count; i++)
        {
            var name = words[i];
            if (name is "onlink" or "pervasive") continue;
            if (++i < words.Count && words[i] == "lock") i++;
            if (!s_places.Contains(name) && i < words.Count) settings.Add((name == "mtu" ? Mtu : Attribute + name, words[i]));
        }
        return true;
    }

    private static bool ReadLink(List<string> words, List<(string Name, string Value)> settings)
    {
        var at = words.IndexOf("mtu");
        if (at > 0 && at + 1 < words.Count) settings.Add((Mtu, words[at + 1]));
        return at > 0 || words.Contains("up") || words.Contains("txqueuelen") || words.Contains("qlen") || words.Contains("gso_max_size") || words.Contains("gso_max_segs");
    }

    /// <summary>Options with an attribute of the route; null when the name is none.</summary>
    internal static StackOptions? Apply(StackOptions options, string name, string value)
    {
        if (!name.StartsWith(Attribute, StringComparison.Ordinal)) return null;
        switch (name[Attribute.Length..])
        {
            case "initcwnd":
                return options with { InitialWindowSegments = Sysctls.Number(value) };
            case "rto_min":
                return options with { RtoMsMin = Milliseconds(value) };
            case "congctl":
                return options with { Tcp = options.Tcp with { CongestionControl = value } };
            case "hoplimit":
                return options with { Tcp = options.Tcp with { HopLimit = Sysctls.Number(value) } };
            case "features" when value == "ecn":
                return options with { Tcp = options.Tcp with { Ecn = TcpEcnMode.On } };
            // What is remembered of round trips and orders of earlier connections is not used here.
            case "rtt" or "rttvar" or "reordering" or "ssthresh" when Sysctls.Number(value.TrimEnd('m', 's')) >= 0:
                return options;
            default:
                throw Sysctls.Unknown(name, value);
        }
    }

    // Without a unit milliseconds (ip-route(8): what the routing code takes).
    private static int Milliseconds(string value)
    {
        var number = value.TrimEnd('m', 's', 'e', 'c');
        var unit = value[number.Length..];
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var time) || unit is not ("" or "ms" or "msec" or "msecs" or "s" or "sec" or "secs") || time > 1_000_000)
            throw Sysctls.Unknown("ip route rto_min", value);
        return (int)(unit.StartsWith('s') ? time * 1_000 : time);
    }
}
