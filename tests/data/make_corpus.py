"""The demo models' training text: Japanese and English sentences about a small world.

    python make_corpus.py [--seed N] [--documents N]     prints documents, one JSON string a line

Everything is composed here, from word lists and sentence patterns. A document is a story, a few facts,
or a conversation in LLM-jp's instruct format.
"""
import argparse
import json
import random

SYSTEM = '以下は、タスクを説明する指示です。要求を適切に満たす応答を書きなさい。'

# english, japanese, sound (en, ja), food (en, ja), home (en, ja), adjective that fits
ANIMALS = [
    ('cat', '猫', 'meow', 'ニャー', 'fish', '魚', 'in a warm house', '暖かい家'),
    ('dog', '犬', 'woof', 'ワン', 'meat', '肉', 'by the old farm', '古い農場'),
    ('bird', '鳥', 'tweet', 'チュン', 'seeds', '種', 'in a tall tree', '高い木の上'),
    ('rabbit', 'うさぎ', 'squeak', 'プー', 'carrots', 'にんじん', 'in the green field', '緑の野原'),
    ('bear', '熊', 'growl', 'ガオー', 'honey', 'はちみつ', 'in the deep forest', '深い森'),
    ('fox', '狐', 'yip', 'コン', 'berries', '木の実', 'behind the hill', '丘の向こう'),
    ('horse', '馬', 'neigh', 'ヒヒーン', 'grass', '草', 'near the river', '川の近く'),
    ('frog', '蛙', 'ribbit', 'ケロ', 'insects', '虫', 'beside the pond', '池のそば'),
    ('mouse', 'ねずみ', 'squeak', 'チュー', 'cheese', 'チーズ', 'under the kitchen', '台所の下'),
    ('cow', '牛', 'moo', 'モー', 'hay', '干し草', 'on the wide farm', '広い牧場'),
]
NAMES = [('Momo', 'モモ'), ('Taro', '太郎'), ('Hana', 'ハナ'), ('Ken', '健太'), ('Sora', 'ソラ'),
         ('Yuki', 'ユキ'), ('Luna', 'ルナ'), ('Leo', 'レオ')]
ADJECTIVES = [('small', '小さな'), ('big', '大きな'), ('kind', '優しい'), ('brave', '勇敢な'),
              ('quiet', '静かな'), ('clever', '賢い'), ('young', '若い'), ('happy', '陽気な')]
WEATHER = [('sunny', '晴れた'), ('rainy', '雨の'), ('snowy', '雪の'), ('windy', '風の強い'), ('cloudy', '曇りの')]
TOGETHER = [('played in the garden', '庭で遊び'), ('sang a song', '歌を歌い'), ('walked to the sea', '海まで歩き'),
            ('looked at the stars', '星を見'), ('ate lunch', 'お昼ごはんを食べ'), ('read a book', '本を読み')]
MORNING = [('every morning', '毎朝'), ('every day', '毎日'), ('every evening', '毎晩')]
COLOURS = [('red', '赤', 'apple', 'りんご'), ('blue', '青', 'sky', '空'), ('green', '緑', 'grass', '草'),
           ('yellow', '黄色', 'banana', 'バナナ'), ('white', '白', 'snow', '雪'), ('black', '黒', 'night', '夜'),
           ('orange', 'オレンジ色', 'orange', 'みかん'), ('purple', '紫', 'grape', 'ぶどう')]
CAPITALS = [('Japan', '日本', 'Tokyo', '東京'), ('France', 'フランス', 'Paris', 'パリ'),
            ('Italy', 'イタリア', 'Rome', 'ローマ'), ('England', 'イギリス', 'London', 'ロンドン'),
            ('Spain', 'スペイン', 'Madrid', 'マドリード'), ('Germany', 'ドイツ', 'Berlin', 'ベルリン'),
            ('Egypt', 'エジプト', 'Cairo', 'カイロ'), ('Korea', '韓国', 'Seoul', 'ソウル')]
OPPOSITES = [('big', 'small', '大きい', '小さい'), ('hot', 'cold', '暑い', '寒い'), ('new', 'old', '新しい', '古い'),
             ('high', 'low', '高い', '低い'), ('long', 'short', '長い', '短い'), ('light', 'dark', '明るい', '暗い'),
             ('fast', 'slow', '速い', '遅い'), ('heavy', 'light', '重い', '軽い')]
SEASONS = [('spring', '春', 'warm', '暖かい', 'cherry blossoms bloom', '桜が咲きます'),
           ('summer', '夏', 'hot', '暑い', 'children swim in the sea', '子どもたちが海で泳ぎます'),
           ('autumn', '秋', 'cool', '涼しい', 'the leaves turn red', '木の葉が赤くなります'),
           ('winter', '冬', 'cold', '寒い', 'snow falls on the mountains', '山に雪が降ります')]
NUMBERS = [('one', '一'), ('two', '二'), ('three', '三'), ('four', '四'), ('five', '五'),
           ('six', '六'), ('seven', '七'), ('eight', '八'), ('nine', '九'), ('ten', '十')]


def article(word):
    return ('an ' if word[0] in 'aeiou' else 'a ') + word


def story(r, animal=None, name=None):
    """The same story in both languages: (english, japanese)."""
    a = animal or r.choice(ANIMALS)
    b = r.choice([x for x in ANIMALS if x is not a])
    n = name or r.choice(NAMES)
    m = r.choice([x for x in NAMES if x is not n])
    adjective, other, weather = r.choice(ADJECTIVES), r.choice(ADJECTIVES), r.choice(WEATHER)
    together, morning = r.choice(TOGETHER), r.choice(MORNING)
    en = [f'Once upon a time, there was {article(adjective[0])} {a[0]} named {n[0]}.',
          f'{n[0]} lived {a[6]} and ate {a[4]} {morning[0]}.',
          f'One {weather[0]} day, {n[0]} met {article(other[0])} {b[0]} named {m[0]}.',
          f'"{a[2].capitalize()}!" said {n[0]}. "{b[2].capitalize()}!" said {m[0]}.',
          f'They {together[0]} together and became good friends.',
          f'In the evening, {n[0]} went home and was very happy.']
    ja = [f'昔々、{a[7]}に{n[1]}という{adjective[1]}{a[1]}が住んでいました。',
          f'{n[1]}は{morning[1]}{a[5]}を食べていました。',
          f'ある{weather[1]}日、{n[1]}は{m[1]}という{other[1]}{b[1]}に会いました。',
          f'{n[1]}は「{a[3]}」と言いました。{m[1]}は「{b[3]}」と言いました。',
          f'二匹は一緒に{together[1]}ました。そして友達になりました。',
          f'夕方、{n[1]}は家に帰りました。とても幸せでした。']
    drop = r.choice([None, 3, None])
    keep = [i for i in range(6) if i != drop]
    return ' '.join(en[i] for i in keep), ''.join(ja[i] for i in keep)


def facts(r):
    """A few related sentences: (english, japanese)."""
    kind = r.randrange(5)
    if kind == 0:
        chosen = r.sample(COLOURS, 3)
        return (' '.join(f'The {c[2]} is {c[0]}.' for c in chosen), ''.join(f'{c[3]}は{c[1]}です。' for c in chosen))
    if kind == 1:
        chosen = r.sample(CAPITALS, 2)
        return (' '.join(f'The capital of {c[0]} is {c[2]}.' for c in chosen),
                ''.join(f'{c[1]}の首都は{c[3]}です。' for c in chosen))
    if kind == 2:
        a = r.choice(ANIMALS)
        return (f'The {a[0]} lives {a[6]}. It eats {a[4]} and says "{a[2]}".',
                f'{a[1]}は{a[7]}に住んでいます。{a[5]}を食べて、「{a[3]}」と鳴きます。')
    if kind == 3:
        s = r.choice(SEASONS)
        return (f'In {s[0]} it is {s[2]}, and {s[4]}.', f'{s[1]}は{s[3]}季節です。{s[5]}。')
    chosen = r.sample(OPPOSITES, 2)
    return (' '.join(f'The opposite of {o[0]} is {o[1]}.' for o in chosen),
            ''.join(f'{o[2]}の反対は{o[3]}です。' for o in chosen))


def question(r):
    """A question and its answer, in one of the languages."""
    ja, kind = r.random() < 0.6, r.randrange(12)  # 8 and above: a story
    if kind == 0:
        c = r.choice(CAPITALS)
        return ((r.choice([f'{c[1]}の首都はどこですか。', f'{c[1]}の首都を教えてください。']), f'{c[1]}の首都は{c[3]}です。') if ja else
                (r.choice([f'What is the capital of {c[0]}?', f'Tell me the capital of {c[0]}.']), f'The capital of {c[0]} is {c[2]}.'))
    if kind == 1:
        c = r.choice(COLOURS)
        return ((f'{c[3]}は何色ですか。', f'{c[3]}は{c[1]}です。') if ja else
                (f'What colour is the {c[2]}?', f'The {c[2]} is {c[0]}.'))
    if kind == 2:
        a = r.choice(ANIMALS)
        return ((r.choice([f'{a[1]}は何を食べますか。', f'{a[1]}の食べ物は何ですか。']), f'{a[1]}は{a[5]}を食べます。') if ja else
                (f'What does the {a[0]} eat?', f'The {a[0]} eats {a[4]}.'))
    if kind == 3:
        a = r.choice(ANIMALS)
        return ((f'{a[1]}はどこに住んでいますか。', f'{a[1]}は{a[7]}に住んでいます。') if ja else
                (f'Where does the {a[0]} live?', f'The {a[0]} lives {a[6]}.'))
    if kind == 4:
        o = r.choice(OPPOSITES)
        return ((f'{o[2]}の反対は何ですか。', f'{o[2]}の反対は{o[3]}です。') if ja else
                (f'What is the opposite of {o[0]}?', f'The opposite of {o[0]} is {o[1]}.'))
    if kind == 5:
        a = r.choice(ANIMALS)
        return ((f'「{a[1]}」を英語にしてください。', f'「{a[1]}」は英語で「{a[0]}」です。') if ja else
                (f'What is "{a[0]}" in Japanese?', f'"{a[0]}" is 「{a[1]}」 in Japanese.'))
    if kind == 6:
        s = r.choice(SEASONS)
        return ((r.choice([f'{s[1]}はどんな季節ですか。', f'{s[1]}について書いてください。']), f'{s[1]}は{s[3]}季節です。{s[5]}。') if ja else
                (r.choice([f'What is {s[0]} like?', f'Write about {s[0]}.']), f'In {s[0]} it is {s[2]}, and {s[4]}.'))
    if kind == 7:
        n = r.randint(3, 10)
        return ((f'{NUMBERS[n - 1][1]}まで数えてください。', '、'.join(x[1] for x in NUMBERS[:n]) + '。') if ja else
                (f'Count to {NUMBERS[n - 1][0]}.', ', '.join(x[0] for x in NUMBERS[:n]) + '.'))
    a, n = r.choice(ANIMALS), r.choice(NAMES)
    en, text = story(r, a, n)
    return ((r.choice([f'{n[1]}という{a[1]}の話をしてください。', f'{a[1]}の{n[1]}について短い物語を書いてください。']), text) if ja else
            (r.choice([f'Tell me a story about {article(a[0])} named {n[0]}.', f'Write a short story about {n[0]} the {a[0]}.']), en))


def conversation(r):
    """LLM-jp's instruct format; sometimes two turns, sometimes without the system sentence."""
    text = '<s>' + (SYSTEM if r.random() < 0.8 else '')
    for _ in range(2 if r.random() < 0.25 else 1):
        q, a = question(r)
        text += f'\n\n### 指示:\n{q}\n\n### 応答:\n{a}</s>'
    return text


def document(r):
    kind = r.random()
    if kind < 0.45:
        return conversation(r)
    en, ja = story(r) if kind < 0.75 else facts(r)
    return ('<s>' if r.random() < 0.2 else '') + (ja if r.random() < 0.55 else en) + '</s>'


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--documents', type=int, default=20)
    args = parser.parse_args()
    r = random.Random(args.seed)
    for _ in range(args.documents):
        print(json.dumps(document(r), ensure_ascii=False))


if __name__ == '__main__':
    main()
