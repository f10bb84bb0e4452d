// Random exchanges around the beginning and the end of connections: SYNs and their answers with all options, data and resets in every state, closing in
// every order, ICMP errors, small buffers. Their steps need no look at what was sent: sequence numbers here are small and known.
using System.Text;

namespace Peregrine.Scripting.Explorer;

internal sealed class Exchanges(int seed, string kind)
{
    private const string Info = "+0 %{ print(tcpi_state, tcpi_bytes_received, tcpi_bytes_acked, tcpi_rcv_mss, tcpi_options) }%";

    private readonly Random _random = new(seed);
    private readonly StringBuilder _text = new();
    private int _next = 1, _written;

    internal static bool Has(string kind) => kind is "handshake" or "ending" or "errors" or "buffer";

    private bool Chance(int percent) => _random.Next(100) < percent;

    private T Pick<T>(params T[] values) => values[_random.Next(values.Length)];

    private void Add(string line) => _text.Append(line).Append('\n');

    private void After(string line) => Add($"+{Pick("0.010", "0.030", "0.100", "0.300", "0.700")} {line}");

    internal Stimuli Make()
    {
        if (kind == "handshake" && Chance(50)) Connect();
        else Listen();
        var steps = 3 + _random.Next(8);
        for (var i = 0; i < steps; i++)
        {
            switch (kind)
            {
                case "ending":
                    End();
                    break;
                case "errors":
                    Err();
                    break;
                case "buffer":
                    Fill();
                    break;
                default:
                    Any();
                    break;
            }
            if (Chance(50)) Add(Info);
        }
        After(Info["+0 ".Length..]);
        Add("+1.500 %{ print(tcpi_state) }%");
        return new Stimuli(kind, _text.ToString());
    }

    private string SynOptions()
    {
        List<string> options = [];
        if (Chance(90)) options.Add($"mss {Pick(1_000, 1_460, 536, 100)}");
        if (Chance(70)) options.Add("nop,nop,sackOK");
        if (Chance(70)) options.Add($"nop,wscale {Pick(0, 7, 14)}");
        return options.Count == 0 ? "" : $" <{string.Join(',', options)}>";
    }

    private void Listen()
    {
        if (kind == "handshake" && Chance(30)) Add($"`sysctl -q net.ipv4.tcp_ecn={Pick(1, 2)}`");
        Add("+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
        if (kind == "buffer") Add($"+0 setsockopt(3, SOL_SOCKET, SO_RCVBUF, [{Pick(2_500, 4_000, 10_000, 20_000, 60_000)}], 4) = 0");
        if (kind == "handshake" && Chance(20)) Add("+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [2], 4) = 0");
        Add("+0 bind(3, ..., ...) = 0");
        Add($"+0 listen(3, {Pick(0, 1, 5)}) = 0");
        Add("+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
        if (kind != "handshake")
        {
            Add($"+0 < S 0:0(0) win 32792 <mss {Pick(1_000, 1_460)},nop,nop,sackOK,nop,wscale 7>");
            Add("+0.050 < . 1:1(0) ack 1 win 257");
            Add("+0 accept(3, ..., ...) = 4");
            Add("+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
            return;
        }
        Add($"+0 < {Pick("S", "S", "S", "SEW", "SE", "SP", "SW")} 0:{Pick("0(0)", "0(0)", "0(0)", "100(100)")} win {Pick(0, 1_000, 65_535)}{SynOptions()}");
        for (var i = _random.Next(3); i > 0; i--) Odd(1);
        After($"< {Pick(".", ".", ".", "P.", "F.", "E.", "S.")} 1:{Pick("1(0)", "1(0)", "101(100)")} ack {Pick(1, 1, 1, 1, 0, 2, 5_000)} win 257");
        Add("+0.010 accept(3, ..., ...) = ...");
    }

    private void Connect()
    {
        if (Chance(30)) Add($"`sysctl -q net.ipv4.tcp_ecn={Pick(1, 2)}`");
        Add("+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4");
        Add("+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
        Add("+0 connect(4, ..., ...) = ...");
        for (var i = _random.Next(3); i > 0; i--) Odd(1);
        var flags = Pick("S.", "S.", "S.", "SE.", "SEW.", "S", "SP.", "SF.");
        var ack = flags == "S" ? "" : $" ack {Pick(1, 1, 1, 1, 0, 2)}";
        After($"< {flags} 0:{Pick("0(0)", "0(0)", "0(0)", "100(100)")}{ack} win {Pick(1_000, 65_535)}{SynOptions()}");
        Add("+0 write(4, ..., 10) = ...");
    }

    // What does not belong there.
    private void Odd(int next)
    {
        var flags = Pick("R", "R.", "S", "S.", "F", "F.", ".", "P.", "P");
        var hasAck = flags.Contains('.', StringComparison.Ordinal);
        var length = Chance(30) ? 100 : 0;
        var at = next + Pick(0, 0, 0, 1, 100, 70_000);
        After($"< {flags} {at}:{at + length}({length})" + (hasAck ? $" ack {Pick(1, 1, 0, 2, 101, 5_000)}" : "") + " win 257");
    }

    private void Any()
    {
        switch (_random.Next(4))
        {
            case 0:
                Odd(_next);
                break;
            case 1:
                Write();
                break;
            case 2:
                Data();
                break;
            default:
                After($"read(4, ..., {Pick(50, 5_000)}) = ...");
                break;
        }
    }

    private void Write()
    {
        var size = Pick(100, 500, 1_000);
        After($"write(4, ..., {size}) = ...");
        _written += size;
    }

    private void Data()
    {
        var length = Pick(1, 100, 500, 1_000);
        After($"< {Pick("P.", ".")} {_next}:{_next + length}({length}) ack {Pick(1, 1 + _written)} win 257");
        _next += length;
    }

    private void End()
    {
        switch (_random.Next(9))
        {
            case 0:
                After($"shutdown(4, {Pick("SHUT_WR", "SHUT_WR", "SHUT_RD", "SHUT_RDWR")}) = ...");
                break;
            case 1:
                After("close(4) = ...");
                break;
            case 2:
                After($"< {Pick("F.", "FP.")} {_next}:{_next}(0) ack {Pick(1, 1 + _written, 2 + _written)} win 257");
                if (Chance(80)) _next++;
                break;
            case 3:
                After($"< . {_next}:{_next}(0) ack {2 + _written} win 257");
                break;
            case 4:
                After($"setsockopt(4, SOL_SOCKET, SO_LINGER, {{onoff=1, linger={Pick(0, 1)}}}, 8) = ...");
                break;
            default:
                Any();
                break;
        }
    }

    private void Err()
    {
        if (Chance(40))
        {
            var what = Pick("net_unreachable", "host_unreachable", "port_unreachable", "protocol_unreachable", "frag_needed mtu 1000", "frag_needed mtu 296");
            var from = Pick(1, 1, 1 + _written, 5_000);
            After($"< icmp unreachable {what} [{from}:{from + 100}(100)]");
            Add("+0.010 write(4, ..., 10) = ...");
            _written += 10;
            return;
        }
        Any();
    }

    private void Fill()
    {
        if (Chance(60)) Data();
        else if (Chance(60)) After($"read(4, ..., {Pick(100, 1_000, 5_000)}) = ...");
        else After($"setsockopt(4, SOL_SOCKET, {Pick("SO_RCVLOWAT", "SO_RCVBUF")}, [{Pick(1, 500, 3_000, 30_000)}], 4) = 0");
    }
}
