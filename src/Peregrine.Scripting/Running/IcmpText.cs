// ICMP errors by the names that scripts have for them, of both families and both dialects (RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1, RFC 4443).
using System.Globalization;
using Peregrine.Scripting.Language;

namespace Peregrine.Scripting.Running;

internal static class IcmpText
{
    internal static (byte Type, byte Code) NumbersOf(IcmpPacketText text, bool v4)
    {
        // A code may be its number, and a type too: "type_3 code_9".
        if (text.Code is { } said && NumberOf(said, "code_") is { } code) return NumbersOf(text with { Code = null }, v4) with { Code = code };
        if (NumberOf(text.Type, "type_") is { } type && text.Code is null) return (type, 0);
        var numbers = v4 ? OfV4(text.Type, text.Code) : OfV6(text.Type, text.Code);
        return numbers ?? throw new NotApplicableException($"the ICMP{(v4 ? "v4" : "v6")} error '{(text.Code is null ? text.Type : text.Type + " " + text.Code)}' is not understood");
    }

    private static byte? NumberOf(string word, string prefix)
    {
        if (word.StartsWith(prefix, StringComparison.Ordinal)) word = word[prefix.Length..];
        return byte.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
    }

    /// <summary>Whether a type is an echo's: it quotes nothing.</summary>
    internal static bool IsEcho(byte type, bool v4) => v4 ? type is 0 or 8 : type is 128 or 129;

    private static (byte, byte)? OfV4(string type, string? code) => (type, code) switch
    {
        ("unreachable", _) => Unreachable(code) is { } number ? (3, number) : null,
        ("source_quench", null) => (4, 0),
        ("redirect", null) => (5, 0),
        ("time_exceeded", "exceeded_ttl" or "ttl_exceeded" or "ttl_exceeded_in_transit" or "in_transit") => (11, 0),
        ("time_exceeded", "frag_reass_exceeded" or "fragment_reassembly_time_exceeded" or "fragment_reassembly" or "exceeded_frag_time"
            or "ttl_exceeded_in_reassembly" or "ttl_exceeded_during_reassembly") => (11, 1),
        ("time_exceeded", null) => (11, 0),
        ("parameter_problem", null or "pointer_indicates_error" or "bad_ip_header" or "header_field") => (12, 0),
        ("parameter_problem", "missing_required_option" or "required_option_missing") => (12, 1),
        ("parameter_problem", "bad_length") => (12, 2),
        ("echo_reply", null) => (0, 0),
        ("echo_request", null) => (8, 0),
        ("timestamp_request", null) => (13, 0),
        ("timestamp_reply", null) => (14, 0),
        ("information_request", null) => (15, 0),
        ("information_reply", null) => (16, 0),
        ("address_mask_request", null) => (17, 0),
        ("address_mask_reply", null) => (18, 0),
        _ => null,
    };

    private static byte? Unreachable(string? code) => code switch
    {
        null or "net_unreachable" => 0,
        "host_unreachable" => 1,
        "protocol_unreachable" => 2,
        "port_unreachable" => 3,
        "frag_needed" => 4,
        "source_route_failed" => 5,
        "net_unknown" => 6,
        "host_unknown" => 7,
        "source_host_isolated" => 8,
        "net_prohibited" => 9,
        "host_prohibited" => 10,
        "net_unreachable_for_tos" => 11,
        "host_unreachable_for_tos" => 12,
        "packet_filtered" or "admin_prohibited" or "communication_prohibited" or "filter_prohibited" => 13,
        "precedence_violation" or "host_precedence_violation" => 14,
        "precedence_cutoff" => 15,
        _ => null,
    };

    private static (byte, byte)? OfV6(string type, string? code) => (type, code) switch
    {
        ("unreachable", null or "no_route" or "net_unreachable") => (1, 0),
        ("unreachable", "administratively_prohibited" or "admin_prohibited") => (1, 1),
        ("unreachable", "not_neighbour" or "beyond_scope") => (1, 2),
        ("unreachable", "addr_unreachable" or "address_unreachable") => (1, 3),
        ("unreachable", "port_unreachable") => (1, 4),
        ("unreachable", "ingress_egress_policy" or "source_policy" or "failed_policy") => (1, 5),
        ("unreachable", "reject_route") => (1, 6),
        ("packet_too_big", null) => (2, 0),
        ("time_exceeded", null or "exceed_hoplimit" or "exceeded_hoplimit" or "exceeded_hop_limit") => (3, 0),
        ("time_exceeded", "exceeded_frag_time" or "exceeded_fragment_reassembly" or "frag_reass_exceeded" or "fragment_reassembly") => (3, 1),
        ("parameter_problem", null or "erroneous_header_field" or "header_field") => (4, 0),
        ("parameter_problem", "unknown_next_header" or "unrecognized_next_header") => (4, 1),
        ("parameter_problem", "unknown_option" or "unrecognized_option") => (4, 2),
        ("echo_request", null) => (128, 0),
        ("echo_reply", null) => (129, 0),
        ("router_advertisement", null) => (134, 0),
        _ => null,
    };
}
