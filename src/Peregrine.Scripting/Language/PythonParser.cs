// Python's statements and expressions, read once into what can be run. A message of an assertion, and what is printed, may be anything:
// where it is not understood it is passed over, since it is for people.
namespace Peregrine.Scripting.Language;

/// <summary>What an expression comes to.</summary>
internal delegate object? PythonExpression(PythonScope scope);

/// <summary>Runs a statement.</summary>
internal delegate PythonFlow PythonStatement(PythonScope scope);

/// <summary>How a block goes on.</summary>
internal enum PythonFlow
{
    Next,
    Break,
    Continue,
    Return,
}

internal sealed class PythonParser(string source)
{
    private const int DepthMax = 48;
    private const int TokensMax = 4_096;

    private readonly List<PythonToken> _tokens = PythonLexer.Read(source);
    private int _at;
    private int _depth;

    private PythonToken Current => _tokens[_at];

    internal static List<PythonStatement> Parse(string source)
    {
        var parser = new PythonParser(source);
        var statements = new List<PythonStatement>();
        while (parser.Current.Kind != PythonKind.End)
        {
            // A block that goes on behind its end is one whose lines are not of one width.
            if (parser.Current.Kind is PythonKind.LineEnd or PythonKind.Indent or PythonKind.Dedent) parser._at++;
            else parser.Line(statements);
        }
        return statements;
    }

    private NotApplicableException Unknown() => new($"Python statement '{Rest(Current.At)}' is not understood");

    private string Rest(int from)
    {
        var end = source.IndexOf('\n', Math.Min(from, source.Length));
        var rest = source[Math.Min(from, source.Length)..(end < 0 ? source.Length : end)].Trim();
        return rest.Length > 40 ? rest[..40] + "…" : rest;
    }

    private bool Is(string sign) => Current.Kind == PythonKind.Sign && Current.Text == sign;

    private bool IsWord(string word) => Current.Kind == PythonKind.Name && Current.Text == word;

    private bool TryTake(string sign)
    {
        if (!Is(sign)) return false;
        _at++;
        return true;
    }

    private bool TryTakeWord(string word)
    {
        if (!IsWord(word)) return false;
        _at++;
        return true;
    }

    private void Expect(string sign)
    {
        if (!TryTake(sign)) throw Unknown();
    }

    // Simple statements with semicolons between, or one with a block. What an expression is made of is held within itself, so its length is its depth.
    private void Line(List<PythonStatement> into)
    {
        var end = _at;
        while (_tokens[end].Kind is not (PythonKind.LineEnd or PythonKind.End)) end++;
        if (end - _at > TokensMax) throw new NotApplicableException("a line of Python is too long");
        if (Compound() is { } compound)
        {
            into.Add(compound);
            return;
        }
        while (true)
        {
            into.Add(Simple());
            if (!TryTake(";")) break;
            if (Current.Kind is PythonKind.LineEnd) break;
        }
        if (Current.Kind is PythonKind.LineEnd) _at++;
        else if (Current.Kind != PythonKind.End) throw Unknown();
    }

    private PythonStatement? Compound()
    {
        if (TryTakeWord("if")) return If();
        if (TryTakeWord("while"))
        {
            var condition = Expression();
            return PythonBlocks.While(condition, Block());
        }
        if (TryTakeWord("for"))
        {
            var name = Name();
            if (!TryTakeWord("in")) throw Unknown();
            var items = Tuple();
            return PythonBlocks.For(name, items, Block());
        }
        if (!TryTakeWord("def")) return null;
        var function = Name();
        Expect("(");
        var parameters = new List<string>();
        while (!TryTake(")"))
        {
            parameters.Add(Name());
            if (!TryTake(",") && !Is(")")) throw Unknown();
        }
        return PythonBlocks.Define(function, parameters, Block());
    }

    private PythonStatement If()
    {
        var condition = Expression();
        var then = Block();
        if (TryTakeWord("elif"))
        {
            if (++_depth > DepthMax) throw new NotApplicableException("Python is nested too deeply");
            var other = If();
            _depth--;
            return PythonBlocks.If(condition, then, [other]);
        }
        return PythonBlocks.If(condition, then, TryTakeWord("else") ? Block() : []);
    }

    private List<PythonStatement> Block()
    {
        Expect(":");
        if (++_depth > DepthMax) throw new NotApplicableException("Python is nested too deeply");
        var statements = new List<PythonStatement>();
        if (Current.Kind != PythonKind.LineEnd)
        {
            Line(statements);
        }
        else
        {
            _at++;
            if (Current.Kind != PythonKind.Indent) throw Unknown();
            _at++;
            while (Current.Kind is not (PythonKind.Dedent or PythonKind.End)) Line(statements);
            if (Current.Kind == PythonKind.Dedent) _at++;
        }
        _depth--;
        return statements;
    }

    private PythonStatement Simple()
    {
        if (TryTakeWord("assert")) return Assert();
        if (IsWord("print") && !IsAssignment(_at + 1)) return Print();
        if (TryTakeWord("pass")) return PythonBlocks.Nothing;
        if (TryTakeWord("break")) return static _ => PythonFlow.Break;
        if (TryTakeWord("continue")) return static _ => PythonFlow.Continue;
        if (IsWord("import") || IsWord("from") || IsWord("global"))
        {
            SkipStatement();
            return PythonBlocks.Nothing;
        }
        if (TryTakeWord("return"))
        {
            var value = IsStatementEnd() ? static _ => null : Tuple();
            return PythonBlocks.Return(value);
        }
        if (Current.Kind == PythonKind.Name && IsAssignment(_at + 1)) return Assign();
        var from = _at;
        var called = Tuple();
        // An expression alone does nothing unless it calls something; a comparison that is not asserted is no statement of scripts.
        if (!IsStatementEnd()) throw Unknown();
        return from == _at ? throw Unknown() : PythonBlocks.Evaluate(called);
    }

    private bool IsAssignment(int at) => _tokens[at] is { Kind: PythonKind.Sign, Text: "=" or "+=" or "-=" or "*=" or "/=" or "//=" or "%=" or "&=" or "|=" or "^=" or "<<=" or ">>=" or "**=" };

    private bool IsStatementEnd() => Current.Kind is PythonKind.LineEnd or PythonKind.End || Is(";");

    private void SkipStatement()
    {
        var brackets = 0;
        while (Current.Kind is not (PythonKind.LineEnd or PythonKind.End) && !(brackets <= 0 && Is(";")))
        {
            if (Is("(") || Is("[") || Is("{")) brackets++;
            if (Is(")") || Is("]") || Is("}")) brackets--;
            _at++;
        }
    }

    private PythonStatement Assert()
    {
        var text = Rest(Current.At);
        var condition = Expression();
        // What follows the comma is its message.
        if (!IsStatementEnd() && !Is(",")) throw Unknown();
        SkipStatement();
        return PythonBlocks.Assert(condition, text);
    }

    private PythonStatement Print()
    {
        var start = Current.At + "print".Length;
        SkipStatement();
        var end = Math.Min(source.Length, Current.Kind == PythonKind.End ? source.Length : Current.At);
        return PythonBlocks.Print(source[Math.Min(start, end)..end]);
    }

    private PythonStatement Assign()
    {
        var names = new List<string> { Name() };
        var sign = Current.Text;
        _at++;
        if (sign != "=") return PythonBlocks.Change(names[0], sign[..^1], Tuple());
        while (Current.Kind == PythonKind.Name && _tokens[_at + 1] is { Kind: PythonKind.Sign, Text: "=" })
        {
            names.Add(Name());
            _at++;
        }
        return PythonBlocks.Assign(names, Tuple());
    }

    private string Name()
    {
        if (Current.Kind != PythonKind.Name) throw Unknown();
        return _tokens[_at++].Text;
    }

    // One value, or several with commas between.
    private PythonExpression Tuple()
    {
        var first = Expression();
        if (!Is(",")) return first;
        var items = new List<PythonExpression> { first };
        while (TryTake(",") && !IsStatementEnd() && !Is(")") && !Is("=") && !Is(":")) items.Add(Expression());
        return PythonBlocks.List(items);
    }

    private PythonExpression Expression()
    {
        if (++_depth > DepthMax) throw new NotApplicableException("Python is nested too deeply");
        var value = Or();
        if (TryTakeWord("if"))
        {
            var condition = Or();
            if (!TryTakeWord("else")) throw Unknown();
            value = PythonBlocks.Choose(condition, value, Expression());
        }
        _depth--;
        return value;
    }

    private PythonExpression Or()
    {
        var left = And();
        while (TryTakeWord("or")) left = PythonBlocks.Either(left, And());
        return left;
    }

    private PythonExpression And()
    {
        var left = Not();
        while (TryTakeWord("and")) left = PythonBlocks.Both(left, Not());
        return left;
    }

    private PythonExpression Not()
    {
        if (!TryTakeWord("not")) return Comparison();
        if (++_depth > DepthMax) throw new NotApplicableException("Python is nested too deeply");
        var inner = Not();
        _depth--;
        return scope => !PythonValues.IsTrue(inner(scope));
    }

    private PythonExpression Comparison()
    {
        var operands = new List<PythonExpression> { Level(0) };
        var signs = new List<string>();
        while (TakeComparison() is { } sign)
        {
            signs.Add(sign);
            operands.Add(Level(0));
        }
        return signs.Count == 0 ? operands[0] : PythonBlocks.Chain(operands, signs);
    }

    private string? TakeComparison()
    {
        if (Current.Kind == PythonKind.Sign && Current.Text is "==" or "!=" or "<>" or "<" or "<=" or ">" or ">=") return _tokens[_at++].Text;
        if (TryTakeWord("in")) return "in";
        if (TryTakeWord("is")) return TryTakeWord("not") ? "is not" : "is";
        if (!IsWord("not") || _tokens[_at + 1] is not { Kind: PythonKind.Name, Text: "in" }) return null;
        _at += 2;
        return "not in";
    }

    private static readonly string[][] s_levels = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "//", "%"]];

    private PythonExpression Level(int level)
    {
        if (level == s_levels.Length) return Unary();
        var left = Level(level + 1);
        while (Current.Kind == PythonKind.Sign && s_levels[level].Contains(Current.Text))
        {
            var sign = _tokens[_at++].Text;
            left = PythonBlocks.Binary(sign, left, Level(level + 1));
        }
        return left;
    }

    private PythonExpression Unary()
    {
        if (Current.Kind != PythonKind.Sign || Current.Text is not ("-" or "+" or "~")) return Power();
        var sign = _tokens[_at++].Text;
        if (++_depth > DepthMax) throw new NotApplicableException("Python is nested too deeply");
        var inner = Unary();
        _depth--;
        return scope => PythonValues.Unary(sign, inner(scope));
    }

    private PythonExpression Power()
    {
        var value = Atom();
        if (!TryTake("**")) return value;
        if (++_depth > DepthMax) throw new NotApplicableException("Python is nested too deeply");
        var power = Unary();
        _depth--;
        return PythonBlocks.Binary("**", value, power);
    }

    private PythonExpression Atom()
    {
        var token = Current;
        _at++;
        switch (token.Kind)
        {
            case PythonKind.Integer or PythonKind.Fraction:
                return Tail(_ => token.Value);
            case PythonKind.Text:
                var text = token.Text;
                while (Current.Kind == PythonKind.Text) text += _tokens[_at++].Text;
                return Tail(_ => text);
            case PythonKind.Sign when token.Text is "(" or "[":
                return Tail(Bracket(token.Text == "(" ? ")" : "]", token.Text == "["));
            case PythonKind.Name:
                return Tail(NameOrCall(token.Text));
            default:
                _at--;
                throw Unknown();
        }
    }

    private PythonExpression Bracket(string end, bool isList)
    {
        var items = new List<PythonExpression>();
        var isTuple = isList;
        while (!TryTake(end))
        {
            items.Add(Expression());
            if (TryTake(",")) isTuple = true;
            else if (!Is(end)) throw Unknown();
        }
        return isTuple || items.Count == 0 ? PythonBlocks.List(items) : items[0];
    }

    // math.ceil(x): what a module's name adds is nothing here.
    private PythonExpression NameOrCall(string name)
    {
        while (Is(".") && _tokens[_at + 1].Kind == PythonKind.Name && name is "math" or "sys" or "os" or "socket" or "errno")
        {
            _at++;
            name = Name();
        }
        if (!TryTake("(")) return PythonBlocks.Name(name);
        var arguments = new List<PythonExpression>();
        while (!TryTake(")"))
        {
            arguments.Add(Expression());
            if (!TryTake(",") && !Is(")")) throw Unknown();
        }
        return PythonBlocks.Call(name, arguments);
    }

    private PythonExpression Tail(PythonExpression value)
    {
        while (Is("["))
        {
            _at++;
            var index = Expression();
            Expect("]");
            value = PythonBlocks.Item(value, index);
        }
        return Is(".") || Is("(") ? throw Unknown() : value;
    }
}
