// The command line as getopt_long reads it: short options bundled, values joined or apart, long ones also by "=". The rules that iperf3
// checks afterwards are at the end; what has no meaning on this stack is refused here with the reason.
using System.Globalization;

namespace Peregrine.Iperf3;

/// <summary>Reads iperf3 command lines.</summary>
public static class Iperf3Arguments
{
    private const string ShortWithValue = "pfiIFABcbtnklPwCMSLOTX";

    /// <summary>Short options and the long ones they stand for.</summary>
    private static readonly Dictionary<char, string> s_short = new()
    {
        ['p'] = "port", ['f'] = "format", ['i'] = "interval", ['I'] = "pidfile", ['F'] = "file", ['A'] = "affinity", ['B'] = "bind", ['V'] = "verbose",
        ['J'] = "json", ['d'] = "debug", ['v'] = "version", ['h'] = "help", ['s'] = "server", ['D'] = "daemon", ['1'] = "one-off", ['c'] = "client",
        ['u'] = "udp", ['b'] = "bitrate", ['t'] = "time", ['n'] = "bytes", ['k'] = "blockcount", ['l'] = "length", ['P'] = "parallel", ['R'] = "reverse",
        ['w'] = "window", ['C'] = "congestion", ['M'] = "set-mss", ['N'] = "no-delay", ['4'] = "version4", ['6'] = "version6", ['S'] = "tos",
        ['L'] = "flowlabel", ['Z'] = "zerocopy", ['O'] = "omit", ['T'] = "title", ['X'] = "xbind", ['m'] = "mptcp",
    };

    private static readonly string[] s_longWithValue =
    [
        "logfile", "rcv-timeout", "snd-timeout", "server-bitrate-limit", "server-max-duration", "idle-timeout", "rsa-private-key-path", "authorized-users-path",
        "time-skew-threshold", "connect-timeout", "bandwidth", "pacing-timer", "fq-rate", "cport", "nstreams", "dscp", "extra-data", "username",
        "rsa-public-key-path", "bind-dev", "linux-congestion",
    ];

    private static readonly string[] s_longWithout =
    [
        "forceflush", "sctp", "bidir", "get-server-output", "udp-counters-64bit", "repeating-payload", "dont-fragment", "no-fq-socket-pacing", "json-stream",
        "json-stream-full-output", "use-pkcs1-padding", "skip-rx-copy", "gsro",
    ];

    /// <summary>Long options whose value, if any, is joined by "=".</summary>
    private static readonly string[] s_longMaybe = ["timestamps", "debug", "cntl-ka"];

    /// <summary>Reads a command line.</summary>
    /// <param name="arguments">The arguments after the program's name.</param>
    /// <param name="options">What they say.</param>
    /// <param name="error">Why they say nothing: the line to print, or null.</param>
    public static bool TryParse(IReadOnlyList<string> arguments, out Iperf3Options options, out string? error)
    {
        options = new Iperf3Options();
        error = null;
        try
        {
            var reader = new OptionReader();
            foreach (var (name, value) in Split(arguments)) reader.Take(name, value);
            options = reader.Finish();
            return true;
        }
        catch (Iperf3Exception e)
        {
            error = "iperf3: parameter error - " + e.Message;
        }
        catch (FormatException e)
        {
            error = "iperf3: " + e.Message;
        }
        return false;
    }

    private static IEnumerable<(string Name, string? Value)> Split(IReadOnlyList<string> arguments)
    {
        for (var i = 0; i < arguments.Count; i++)
        {
            var argument = arguments[i];
            if (argument == "--") yield break;
            if (argument.StartsWith("--", StringComparison.Ordinal))
            {
                var equals = argument.IndexOf('=', StringComparison.Ordinal);
                var name = Complete(equals < 0 ? argument[2..] : argument[2..equals]);
                var value = equals < 0 ? null : argument[(equals + 1)..];
                if (!HasValue(name) && value != null && !s_longMaybe.Contains(name)) throw new FormatException($"option '--{name}' doesn't allow an argument");
                if (HasValue(name) && value == null) value = ++i < arguments.Count ? arguments[i] : throw new FormatException($"option '--{name}' requires an argument");
                yield return (name, value);
                continue;
            }
            // getopt passes over what is no option.
            if (argument.Length < 2 || argument[0] != '-') continue;
            for (var at = 1; at < argument.Length; at++)
            {
                if (!s_short.TryGetValue(argument[at], out var name)) throw new FormatException($"invalid option -- '{argument[at]}'");
                if (!ShortWithValue.Contains(argument[at], StringComparison.Ordinal))
                {
                    yield return (name, null);
                    continue;
                }
                var value = at + 1 < argument.Length ? argument[(at + 1)..]
                    : ++i < arguments.Count ? arguments[i] : throw new FormatException($"option requires an argument -- '{argument[at]}'");
                yield return (name, value);
                break;
            }
        }
    }

    private static bool HasValue(string name) =>
        s_longWithValue.Contains(name) || s_short.Any(pair => pair.Value == name && ShortWithValue.Contains(pair.Key, StringComparison.Ordinal));

    /// <summary>The option that an unambiguous beginning of a name stands for.</summary>
    private static string Complete(string name)
    {
        var all = s_short.Values.Concat(s_longWithValue).Concat(s_longWithout).Concat(s_longMaybe).Distinct().ToList();
        if (all.Contains(name)) return name;
        var fitting = all.Where(option => option.StartsWith(name, StringComparison.Ordinal)).ToList();
        return fitting.Count switch
        {
            1 => fitting[0],
            0 => throw new FormatException($"unrecognized option '--{name}'"),
            _ => throw new FormatException($"option '--{name}' is ambiguous; possibilities: {string.Join(' ', fitting.Select(static option => $"'--{option}'"))}"),
        };
    }

    /// <summary>A whole number as atoi reads it: what is none is 0.</summary>
    internal static int Whole(string text)
    {
        var end = 0;
        while (end < text.Length && (char.IsAsciiDigit(text[end]) || (end == 0 && text[end] is '-' or '+'))) end++;
        return int.TryParse(text.AsSpan(0, end), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var value) ? value : 0;
    }
}
