// Python's values and what can be done with them: whole numbers, fractions, strings, truth, None and lists. A whole number has 127 bits here;
// what does not fit, and what is done with values that it cannot be done with, is said and not computed.
using System.Globalization;

namespace Peregrine.Scripting.Language;

internal static class PythonValues
{
    private const int TextMax = 1 << 16;

    internal static bool IsTrue(object? value) => value switch
    {
        null => false,
        bool truth => truth,
        Int128 number => number != 0,
        double fraction => fraction != 0,
        string text => text.Length > 0,
        List<object?> list => list.Count > 0,
        _ => true,
    };

    /// <summary>A value as a whole number; null where it is none.</summary>
    internal static Int128? Whole(object? value) => value switch { Int128 number => number, bool truth => truth ? 1 : 0, _ => null };

    private static double? Fraction(object? value) => value is double fraction ? fraction : Whole(value) is { } number ? (double)number : null;

    internal static object? Binary(string sign, object? left, object? right)
    {
        try
        {
            if (Whole(left) is { } a && Whole(right) is { } b) return WholeOf(sign, a, b);
        }
        catch (OverflowException)
        {
            throw new NotApplicableException("a number in Python is larger than any here");
        }
        if (Fraction(left) is { } x && Fraction(right) is { } y) return FractionOf(sign, x, y);
        return (sign, left, right) switch
        {
            ("+", string first, string second) when first.Length + second.Length < TextMax => first + second,
            ("%", string pattern, _) => Format(pattern, right),
            ("+", List<object?> first, List<object?> second) when first.Count + second.Count < TextMax => new List<object?>([.. first, .. second]),
            _ => throw new NotApplicableException($"'{sign}' between {NameOf(left)} and {NameOf(right)} in Python is not understood"),
        };
    }

    private static object WholeOf(string sign, Int128 a, Int128 b)
    {
        checked
        {
            switch (sign)
            {
                case "+":
                    return a + b;
                case "-":
                    return a - b;
                case "*":
                    return a * b;
                case "//":
                    return Floor(a, b);
                case "%":
                    return a - (Floor(a, b) * b);
                // Python 2's rule where it comes out even, which is how scripts write it; a fraction otherwise.
                case "/":
                    return a - (Floor(a, b) * b) == 0 ? Floor(a, b) : (double)a / (double)b;
                case "**" when b >= 0 && b < 128:
                    var power = (Int128)1;
                    for (var i = 0; i < b; i++) power *= a;
                    return power;
                case "&":
                    return a & b;
                case "|":
                    return a | b;
                case "^":
                    return a ^ b;
                case "<<" when b >= 0 && b < 100 && a < (Int128)1 << 26 && a > -((Int128)1 << 26):
                    return a << (int)b;
                case ">>" when b >= 0 && b < 128:
                    return a >> (int)b;
                default:
                    return FractionOf(sign, (double)a, (double)b);
            }
        }
    }

    private static Int128 Floor(Int128 a, Int128 b)
    {
        if (b == 0) throw new ScriptFailedException("division by zero");
        var quotient = a / b;
        return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
    }

    private static object FractionOf(string sign, double x, double y) => sign switch
    {
        "+" => x + y,
        "-" => x - y,
        "*" => x * y,
        "/" or "//" or "%" when y == 0 => throw new ScriptFailedException("division by zero"),
        "/" => x / y,
        "//" => Math.Floor(x / y),
        "%" => x - (Math.Floor(x / y) * y),
        "**" => Math.Pow(x, y),
        _ => throw new NotApplicableException($"'{sign}' of fractions in Python is not understood"),
    };

    internal static bool Compare(string sign, object? left, object? right)
    {
        switch (sign)
        {
            case "in":
                return Contains(right, left);
            case "not in":
                return !Contains(right, left);
            case "is":
                return left is null || right is null ? left == right : AreEqual(left, right);
            case "is not":
                return !Compare("is", left, right);
            case "==":
                return AreEqual(left, right);
            case "!=" or "<>":
                return !AreEqual(left, right);
        }
        var order = Order(left, right);
        return sign switch { "<" => order < 0, "<=" => order <= 0, ">" => order > 0, _ => order >= 0 };
    }

    private static bool Contains(object? whole, object? part) => whole switch
    {
        List<object?> list => list.Exists(item => AreEqual(item, part)),
        string text when part is string sub => text.Contains(sub, StringComparison.Ordinal),
        _ => throw new NotApplicableException($"'in' {NameOf(whole)} in Python is not understood"),
    };

    private static bool AreEqual(object? left, object? right)
    {
        if (Whole(left) is { } a && Whole(right) is { } b) return a == b;
        if (Fraction(left) is { } x && Fraction(right) is { } y) return x == y;
        if (left is List<object?> first && right is List<object?> second) return first.Count == second.Count && first.Zip(second).All(static pair => AreEqual(pair.First, pair.Second));
        return Equals(left, right);
    }

    internal static int Order(object? left, object? right)
    {
        if (Whole(left) is { } a && Whole(right) is { } b) return a.CompareTo(b);
        if (Fraction(left) is { } x && Fraction(right) is { } y) return x.CompareTo(y);
        if (left is string first && right is string second) return string.CompareOrdinal(first, second);
        throw new NotApplicableException($"the order of {NameOf(left)} and {NameOf(right)} in Python is not understood");
    }

    internal static object? Unary(string sign, object? value) => (sign, value) switch
    {
        ("-", double fraction) => -fraction,
        ("+", double fraction) => fraction,
        ("-", _) when Whole(value) is { } number => -number,
        ("+", _) when Whole(value) is { } number => number,
        ("~", _) when Whole(value) is { } number => ~number,
        _ => throw new NotApplicableException($"'{sign}' of {NameOf(value)} in Python is not understood"),
    };

    internal static string NameOf(object? value) => value switch
    {
        null => "None",
        string => "a string",
        bool => "a truth value",
        Int128 => "a whole number",
        double => "a fraction",
        List<object?> => "a list",
        _ => "a function",
    };

    internal static string Show(object? value) => value switch
    {
        null => "None",
        bool truth => truth ? "True" : "False",
        double fraction => fraction.ToString("R", CultureInfo.InvariantCulture),
        List<object?> list => $"[{string.Join(", ", list.Select(Show))}]",
        _ => string.Create(CultureInfo.InvariantCulture, $"{value}"),
    };

    // '%' between a string and values: each conversion is replaced by its value as it is printed; widths do not matter to messages.
    private static string Format(string pattern, object? values)
    {
        var arguments = new Queue<object?>(values is List<object?> list ? list : [values]);
        var text = new System.Text.StringBuilder();
        for (var i = 0; i < pattern.Length; i++)
        {
            if (pattern[i] != '%')
            {
                text.Append(pattern[i]);
                continue;
            }
            while (++i < pattern.Length && !char.IsLetter(pattern[i]) && pattern[i] != '%') { }
            if (i < pattern.Length && pattern[i] == '%') text.Append('%');
            else if (arguments.TryDequeue(out var value)) text.Append(i < pattern.Length && pattern[i] == 'x' && Whole(value) is { } number ? ((long)number).ToString("x", CultureInfo.InvariantCulture) : Show(value));
        }
        return text.ToString();
    }

    /// <summary>Calls one of Python's own functions.</summary>
    internal static object? Call(string name, List<object?> a)
    {
        var items = a is [List<object?> only] ? only : a;
        switch (name)
        {
            case "abs" when a is [double fraction]:
                return Math.Abs(fraction);
            case "abs" when a.Count == 1 && Whole(a[0]) is { } number:
                return Int128.Abs(number);
            case "int" or "long" when a.Count is 1 or 2:
                return ToWhole(a);
            case "float" when a.Count == 1:
                return a[0] is string text && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var parsed) ? parsed
                    : Fraction(a[0]) ?? throw new NotApplicableException($"float() of {NameOf(a[0])} in Python is not understood");
            case "bool" when a.Count == 1:
                return IsTrue(a[0]);
            case "str" or "repr" when a.Count == 1:
                return Show(a[0]);
            case "len" when a is [string s]:
                return (Int128)s.Length;
            case "len" when a is [List<object?> list]:
                return (Int128)list.Count;
            case "min" or "max" when items.Count > 0:
                return items.Aggregate((best, next) => (name == "min" ? Order(next, best) < 0 : Order(next, best) > 0) ? next : best);
            case "sum" when a is [List<object?> list]:
                return list.Aggregate((object?)(Int128)0, static (sum, next) => Binary("+", sum, next));
            case "any" or "all" when a is [List<object?> list]:
                return name == "any" ? list.Exists(IsTrue) : list.TrueForAll(IsTrue);
            case "sorted" when a is [List<object?> list]:
                return list.Order(Comparer<object?>.Create(Order)).ToList();
            case "list" or "tuple" when a is [List<object?> list]:
                return list.ToList();
            case "pow" when a.Count == 2:
                return Binary("**", a[0], a[1]);
            case "hex" when a.Count == 1 && Whole(a[0]) is { } number:
                return $"0x{(long)number:x}";
            case "round" or "ceil" or "floor" or "trunc" or "sqrt" or "fabs" or "log" or "log2" when a.Count is 1 or 2 && Fraction(a[0]) is { } x:
                return OfMath(name, x, a);
            case "range" or "xrange" when a.Count is 1 or 2 or 3 && a.TrueForAll(static v => Whole(v) is not null):
                return Range([.. a.Select(static v => Whole(v)!.Value)]);
            default:
                throw new NotApplicableException($"the Python function '{name}' of {string.Join(", ", a.Select(NameOf))} is not understood");
        }
    }

    private static object OfMath(string name, double x, List<object?> a) => name switch
    {
        "round" when a.Count == 2 => Math.Round(x, (int)Math.Clamp((long)(Whole(a[1]) ?? 0), 0, 15)),
        "round" => (Int128)Math.Round(x),
        "ceil" => (Int128)Math.Ceiling(x),
        "floor" => (Int128)Math.Floor(x),
        "trunc" => (Int128)Math.Truncate(x),
        "sqrt" => Math.Sqrt(x),
        "fabs" => Math.Abs(x),
        "log2" => Math.Log2(x),
        _ => a.Count == 2 ? Math.Log(x) / Math.Log(Fraction(a[1]) ?? 1) : Math.Log(x),
    };

    private static object ToWhole(List<object?> a)
    {
        if (Whole(a[0]) is { } number) return number;
        if (a[0] is double fraction && !double.IsNaN(fraction) && Math.Abs(fraction) < 1e30) return (Int128)Math.Truncate(fraction);
        var radix = a.Count > 1 && Whole(a[1]) is { } said ? (int)said : 10;
        if (a[0] is string text && radix == 10 && Int128.TryParse(text.Trim(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var parsed)) return parsed;
        if (a[0] is string hex && radix == 16 && long.TryParse(hex.Replace("0x", "", StringComparison.Ordinal), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var value)) return (Int128)value;
        throw new NotApplicableException($"int() of {NameOf(a[0])} in Python is not understood");
    }

    private static List<object?> Range(Int128[] ends)
    {
        var (start, end, step) = ends switch { [var only] => (0, only, 1), [var a, var b] => (a, b, 1), _ => (ends[0], ends[1], ends[2]) };
        if (step == 0 || Int128.Abs(end - start) > TextMax) throw new NotApplicableException("range() in Python is too long");
        var list = new List<object?>();
        for (var i = start; step > 0 ? i < end : i > end; i += step) list.Add(i);
        return list;
    }
}
