// Which connections somebody wants to see, in the words of ss(8): "state established dst 192.0.2.0/24 dport 443". Terms are joined by "and".
using System.Globalization;
using Peregrine.Core.Tcp;
using Peregrine.Wire;

namespace Peregrine;

/// <summary>A parsed filter; the empty one takes every connection, and listeners, half-open ones and TIME-WAIT only where it names a state.</summary>
internal sealed class ConnectionFilter
{
    /// <summary>What a filter can be made of, for messages.</summary>
    internal const string Forms = "state NAME, src ADDRESS[/LENGTH][:PORT], dst ADDRESS[/LENGTH][:PORT], sport PORT, dport PORT";

    private const int TermCountMax = 32;

    private static readonly Dictionary<string, TcpState[]> s_states = new(StringComparer.OrdinalIgnoreCase)
    {
        ["established"] = [TcpState.Established],
        ["syn-sent"] = [TcpState.SynSent],
        ["syn-recv"] = [TcpState.SynReceived],
        ["fin-wait-1"] = [TcpState.FinWait1],
        ["fin-wait-2"] = [TcpState.FinWait2],
        ["close-wait"] = [TcpState.CloseWait],
        ["last-ack"] = [TcpState.LastAck],
        ["closing"] = [TcpState.Closing],
        ["time-wait"] = [TcpState.TimeWait],
        ["listening"] = [TcpState.Listen],
        ["synchronized"] = [TcpState.Established, TcpState.FinWait1, TcpState.FinWait2, TcpState.CloseWait, TcpState.LastAck, TcpState.Closing],
        ["connected"] = [.. Enum.GetValues<TcpState>().Except([TcpState.Listen, TcpState.Closed])],
        ["all"] = Enum.GetValues<TcpState>(),
    };

    private readonly List<Func<TcpInfo, bool>> _terms = [];
    private bool _hasState;

    private ConnectionFilter()
    {
    }

    /// <summary>Reads a filter.</summary>
    /// <exception cref="FormatException">It is none; the message names the word and what it could be.</exception>
    internal static ConnectionFilter Parse(string text)
    {
        var filter = new ConnectionFilter();
        var words = new Queue<string>(text.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
        while (words.TryDequeue(out var word))
        {
            if (word is "and" or "&&") continue;
            if (filter._terms.Count == TermCountMax) throw new FormatException($"A filter has at most {TermCountMax} terms.");
            filter._terms.Add(Term(word, Value(words, word)));
            filter._hasState |= word == "state";
        }
        return filter;
    }

    internal bool Takes(TcpInfo info) => (_hasState || info.CongestionControl.Length > 0) && _terms.TrueForAll(term => term(info));

    // "sport = :80" is "sport 80".
    private static string Value(Queue<string> words, string word)
    {
        while (words.TryPeek(out var next) && next is "=" or "==" or "eq") words.Dequeue();
        return words.TryDequeue(out var value) ? value : throw new FormatException($"\"{word}\" stands at the end; it must be one of: {Forms}.");
    }

    private static Func<TcpInfo, bool> Term(string word, string value)
    {
        switch (word)
        {
            case "state":
                if (!s_states.TryGetValue(value, out var states))
                    throw new FormatException($"There is no state \"{value}\"; states are {string.Join(", ", s_states.Keys)}.");
                return info => Array.IndexOf(states, info.State) >= 0;
            case "src":
                var local = new Side(value);
                return info => local.Takes(info.Local);
            case "dst":
                var remote = new Side(value);
                return info => remote.Takes(info.Remote);
            case "sport":
                var localPort = Port(value.TrimStart(':'));
                return info => info.Local.Port == localPort;
            case "dport":
                var remotePort = Port(value.TrimStart(':'));
                return info => info.Remote.Port == remotePort;
            default:
                throw new FormatException($"A filter has no \"{word}\"; its terms are {Forms}.");
        }
    }

    private static ushort Port(string text) =>
        ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) ? port : throw new FormatException($"\"{text}\" is no port: 0 to 65535.");

    /// <summary>An address or prefix, a port, or both: 192.0.2.1, 2001:db8::/32, [2001:db8::1]:443, 192.0.2.0/24:80, :80, *:80.</summary>
    private readonly struct Side
    {
        private readonly IpPrefix? _prefix;
        private readonly ushort? _port;

        internal Side(string text)
        {
            var colon = text.LastIndexOf(':');
            var isBareV6 = !text.Contains('[', StringComparison.Ordinal) && colon != text.IndexOf(':', StringComparison.Ordinal);
            if (colon >= 0 && !isBareV6 && !text.EndsWith(']')) (_port, text) = (Port(text[(colon + 1)..]), text[..colon]);
            text = text.Trim('[', ']');
            if (text is "" or "*") return;
            if (IpPrefix.TryParse(text, out var prefix)) _prefix = prefix;
            else if (IpAddress.TryParse(text, out var address)) _prefix = new IpPrefix(address, address.IsIPv4 ? 32 : 128);
            else throw new FormatException($"\"{text}\" is no address and no prefix.");
        }

        internal bool Takes(in Endpoint side) => (_port is null || _port == side.Port) && (_prefix is not { } prefix || prefix.Contains(side.Address));
    }
}
